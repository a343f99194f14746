//! Transactions of the log's stream: where each begins and ends, and what is behind them.

use super::{
    binlog::{Event, Header, maria},
    ddl::{self, Statement},
    gtid::{GtidSet, MariaGtid},
    position::{File, Gtid, Reach, Time},
    proof,
};
use crate::error::{Error, Result};

/// What an event was for its transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub began: Option<Open>,
    /// `at` is behind it now.
    pub ended: bool,
    /// The same, between transactions.
    pub moved: bool,
    /// One that had begun did not end: the server died while it wrote it.
    pub torn: bool,
    /// When the transaction that is open was written: its first event tells.
    pub timed: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub gtid: Gtid,
    /// What is before it in the stream.
    pub from: Reach,
    pub flags: u8,
    /// When it was written, for people.
    pub time: u32,
    /// When it was written, for proof. `None`: its first event is still to come.
    pub proof: Option<Time>,
    pub committed_us: u64,
    /// One event and no end.
    standalone: bool,
    /// `BEGIN` was seen, so an end comes.
    pub begun: bool,
}

/// Follows the stream from a known point.
pub(super) struct Transactions {
    /// Everything before the transaction that is open.
    pub at: Reach,
    pub open: Option<Open>,
    /// Where files are counted: how far into the present one.
    pub here: u64,
    /// What files before the first one held was looked at.
    proven: bool,
}

impl Transactions {
    pub fn new(at: &Reach) -> Transactions {
        let here = if let Reach::File(at) = at { at.byte } else { 0 };
        Transactions { at: at.clone(), open: None, here, proven: false }
    }

    pub fn step(&mut self, header: &Header, event: &Event<'_>) -> Result<Step> {
        let mut step = Step::default();
        let start = self.here;
        self.count(header, event)?;
        step.timed = self.first_event(header, event);
        match event {
            Event::Before(domains) if !self.proven => self.reaches_back(&Reach::Maria(domains.clone()))?,
            // Where files are counted, their names tell.
            Event::Previous(set) if !self.proven && matches!(self.at, Reach::Mysql(_)) => {
                self.reaches_back(&Reach::Mysql(set.clone()))?;
            }
            Event::Rotate { file, byte } => self.rotate(file, *byte),
            Event::Format if !header.artificial => {
                step.torn = self.open.take().is_some();
            }
            Event::MariaGtid { gtid, flags } => {
                step.torn = self.open.is_some();
                self.grows(*gtid)?;
                step.began = Some(self.begin(header, Gtid::Maria(*gtid), *flags, (0, 0)));
            }
            Event::MysqlGtid { gtid, committed_us, written_us } => {
                step.torn = self.open.is_some();
                let gtid = if self.counts() { Gtid::Byte(start) } else { Gtid::Mysql(gtid.clone()) };
                step.began = Some(self.begin(header, gtid, 0, (*committed_us, *written_us)));
            }
            Event::Anonymous if self.counts() => {
                step.torn = self.open.is_some();
                step.began = Some(self.begin(header, Gtid::Byte(start), 0, (0, 0)));
            }
            Event::Commit | Event::XaPrepare { .. } => step.ended = self.end(),
            Event::Query(query) => {
                // Before MySQL 5.7, nothing comes before the first statement where GTIDs are off.
                if self.counts() && self.open.is_none() {
                    step.began = Some(self.begin(header, Gtid::Byte(start), 0, (0, 0)));
                }
                let standalone = self.open.as_ref().is_some_and(|open| open.standalone || !open.begun);
                let statement = ddl::read(query);
                step.ended = match statement {
                    Statement::Begin | Statement::XaStart => {
                        if let Some(open) = &mut self.open {
                            open.begun = true;
                        }
                        false
                    }
                    Statement::Commit | Statement::Rollback => self.end(),
                    _ if standalone => self.end(),
                    _ => false,
                };
            }
            _ => {}
        }
        if self.open.is_none()
            && let Reach::File(at) = &mut self.at
        {
            at.byte = self.here;
            step.moved = true;
        }
        Ok(step)
    }

    /// Whether places in files are counted, for want of numbers.
    fn counts(&self) -> bool {
        matches!(self.at, Reach::File(_))
    }

    /// The first event of a transaction behind the one that begins it.
    fn first_event(&mut self, header: &Header, event: &Event<'_>) -> Option<Time> {
        let begins = matches!(event, Event::MariaGtid { .. } | Event::MysqlGtid { .. } | Event::Anonymous);
        let beside = matches!(event, Event::Heartbeat | Event::Rotate { .. } | Event::Format | Event::Before(_));
        let open =
            self.open.as_mut().filter(|open| open.proof.is_none() && !begins && !beside && !header.artificial)?;
        open.proof = Some(Time::First(header.time));
        open.proof
    }

    /// The server tells 32 bits of where an event ends; the whole number is the sum of what came.
    fn count(&mut self, header: &Header, event: &Event<'_>) -> Result<()> {
        if !self.counts() || header.inner || matches!(event, Event::Heartbeat) {
            return Ok(());
        }
        let next = self.here + u64::from(header.size);
        // Past 4 GiB what it tells starts anew, and may be 0, as of what it made for this stream.
        let of_stream = header.is_marked() || matches!(event, Event::Format | Event::Rotate { .. }) || next as u32 != 0;
        if header.artificial && of_stream {
            return Ok(());
        }
        self.here = next;
        if self.here as u32 != header.end {
            let text =
                format!("by its own account an event of the log ends at {}, counted are {}", header.end, self.here);
            return Err(Error::transient(text).hint("if it stays, please report it with the server's version"));
        }
        Ok(())
    }

    fn begin(&mut self, header: &Header, gtid: Gtid, flags: u8, (committed_us, written_us): (u64, u64)) -> Open {
        // MariaDB leaves `BEGIN` out: what is not standalone has an end.
        let (standalone, begun) = match gtid {
            Gtid::Maria(_) => (flags & maria::STANDALONE != 0, flags & maria::STANDALONE == 0),
            _ => (false, false),
        };
        let from = match (&self.at, &gtid) {
            (Reach::File(at), Gtid::Byte(start)) => Reach::File(File { byte: *start, ..at.clone() }),
            (at, _) => at.clone(),
        };
        // A replica writes another second into the event's head than the server that wrote the transaction first.
        let (time, proof) = match (u32::try_from(written_us / 1_000_000), &gtid) {
            (Ok(time @ 1..), _) => (time, Some(Time::Began(time))),
            (_, Gtid::Byte(_)) => (header.time, Some(Time::Began(header.time))),
            _ => (header.time, None),
        };
        let open = Open { gtid, from, flags, time, proof, committed_us, standalone, begun };
        self.open.insert(open).clone()
    }

    fn end(&mut self) -> bool {
        let Some(open) = self.open.take() else { return false };
        match (&mut self.at, open.gtid) {
            (Reach::Maria(domains), Gtid::Maria(gtid)) if !domains.has(gtid) => domains.set(gtid),
            (Reach::Mysql(set), Gtid::Mysql(gtid)) => set.add(&gtid),
            _ => {}
        }
        true
    }

    /// Numbers of a domain only grow; where they do not, what we have cannot be told from what we lack.
    fn grows(&self, gtid: MariaGtid) -> Result<()> {
        match &self.at {
            Reach::Maria(domains) if domains.has(gtid) => {
                let at = domains.get(gtid.domain).map(|at| at.to_string()).unwrap_or_default();
                Err(Error::lost(format!("after transaction {at} the log goes on with {gtid}, which is not higher"))
                    .hint(
                        "SET GLOBAL gtid_strict_mode = 1; then delete the job \
                         and create it again with `existing: replace`",
                    ))
            }
            _ => Ok(()),
        }
    }

    /// Invariant 8, the far side: all that is in files before the first one we are sent is behind us.
    fn reaches_back(&mut self, files_before: &Reach) -> Result<()> {
        self.proven = true;
        match self.at.contains(files_before)? {
            true => Ok(()),
            false => Err(proof::forgotten(format!(
                "the log that is left begins behind {files_before}, we stand at {}",
                self.at
            ))),
        }
    }

    fn rotate(&mut self, file: &[u8], byte: u64) {
        if let Reach::File(at) = &mut self.at {
            at.name = String::from_utf8_lossy(file).into_owned();
            self.here = byte;
        }
    }
}

/// The point before a transaction that is behind `at`: reading from there meets it again.
pub(super) fn before(at: &Reach, previous: &Reach, gtid: &Gtid) -> Reach {
    match (at, gtid) {
        (Reach::Maria(_), Gtid::Maria(_)) | (Reach::File(_), _) => previous.clone(),
        (Reach::Mysql(set), Gtid::Mysql(gtid)) => {
            let mut one = GtidSet::default();
            one.add(gtid);
            let mut before = set.clone();
            before.subtract(&one);
            Reach::Mysql(before)
        }
        _ => at.clone(),
    }
}

impl Open {
    /// Whether it is behind the point.
    pub fn is_behind(&self, at: &Reach) -> Result<bool> {
        match &self.gtid {
            Gtid::Byte(_) => Ok(self.from.compare(at)?.is_lt()),
            gtid => Ok(gtid.is_in(at)),
        }
    }
}

#[cfg(test)]
pub(super) fn made(gtid: Gtid, from: Reach, time: u32) -> Open {
    Open { gtid, from, flags: 0, time, proof: None, committed_us: 0, standalone: false, begun: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const GIB: u64 = 1 << 30;

    fn file(byte: u64) -> Reach {
        Reach::File(File { server: uuid::Uuid::from_u128(3), name: "b.000001".into(), byte })
    }

    /// As it comes from a server that writes it at `start`.
    fn header(start: u64, size: u64) -> Header {
        let end = (start + size) as u32;
        let size = u32::try_from(size).expect("an event");
        Header { time: 7, kind: 0, server: 1, size, flags: 0, end, inner: false, artificial: end == 0 }
    }

    #[test]
    fn places_past_4_gib_are_counted_on() {
        let mut log = Transactions::new(&file(4));
        let began = log.step(&header(4, 60), &Event::Anonymous).expect("counted").began.expect("it began");
        assert_eq!(began.gtid, Gtid::Byte(4));
        let mut here = 64;
        // The fourth ends at 4 GiB to the byte: what it tells of that is 0.
        for size in [GIB - 64, GIB, GIB, GIB, GIB - 1] {
            log.step(&header(here, size), &Event::Nothing).expect("counted");
            here += size;
        }
        assert!(log.step(&header(here, 31), &Event::Commit).expect("counted").ended);
        here += 31;
        assert_eq!((log.at.clone(), here), (file(5 * GIB + 30), 5 * GIB + 30));
        // One of the same group, behind it in the file.
        let next = log.step(&header(here, 60), &Event::Anonymous).expect("counted").began.expect("it began");
        assert_eq!((next.gtid.clone(), next.from.clone()), (Gtid::Byte(here), file(here)));
        assert!(!next.is_behind(&file(here)).expect("one file") && began.is_behind(&file(here)).expect("one file"));
    }

    #[test]
    fn a_place_that_is_not_the_servers_is_found_out() {
        let mut log = Transactions::new(&file(4 * GIB + 100));
        log.step(&header(4 * GIB + 100, 60), &Event::Nothing).expect("counted");
        // Made for this stream: not in the file.
        let made = Header { flags: 0x20, artificial: true, ..header(0, 50) };
        log.step(&made, &Event::Nothing).expect("passed over");
        let format = Header { end: 0, artificial: true, ..header(0, 100) };
        log.step(&format, &Event::Format).expect("passed over");
        assert_eq!(log.here, 4 * GIB + 160);
        let error = log.step(&header(4 * GIB + 161, 60), &Event::Nothing).expect_err("one is missing");
        assert_eq!(error.kind(), ErrorKind::Transient);
        assert!(error.to_string().contains("counted are") && error.hint_text().is_some(), "{error}");
    }

    #[test]
    fn a_log_that_begins_behind_us_is_found_out() {
        const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let head = Header { end: 0, artificial: true, ..header(0, 60) };
        let set = |text: &str| format!("{SERVER}:{text}").parse::<GtidSet>().expect("a set");
        let domains = |text: &str| text.parse::<super::super::gtid::Domains>().expect("a list");
        // What is in files before the first one that is sent; those that come later say nothing new.
        for (at, before, is_ours) in [("1-5", "1-5", true), ("1-5", "1-3", true), ("1-5", "1-6", false)] {
            let mut log = Transactions::new(&Reach::Mysql(set(at)));
            let begun = log.step(&head, &Event::Previous(set(before)));
            assert_eq!(begun.is_ok(), is_ours, "{at} before {before}");
            assert!(begun.err().is_none_or(|error| error.kind() == ErrorKind::Lost));
            log.step(&head, &Event::Previous(set("1-9"))).expect("a later file");
        }
        for (at, before, is_ours) in [("0-1-5", "0-2-5", true), ("0-1-5", "0-1-6", false), ("0-1-5", "1-1-1", false)] {
            let mut log = Transactions::new(&Reach::Maria(domains(at)));
            let begun = log.step(&head, &Event::Before(domains(before)));
            assert_eq!(begun.is_ok(), is_ours, "{at} before {before}");
            assert!(begun.err().is_none_or(|error| error.kind() == ErrorKind::Lost));
        }
    }

    #[test]
    fn what_cannot_be_asked_for_is_read_from_the_start_of_its_file() {
        let last = u64::from(u32::MAX);
        assert_eq!(file(last).askable(), file(last));
        assert_eq!(file(last + 1).askable(), file(4));
    }

    #[test]
    fn the_first_event_behind_a_beginning_tells_when_it_was_written() {
        let maria = |text: &str| Reach::Maria(text.parse().expect("a list"));
        let mut log = Transactions::new(&maria("0-1-4"));
        let at = |time, size| Header { time, ..header(500, size) };
        let gtid = Event::MariaGtid { gtid: "0-1-5".parse().expect("one"), flags: 0 };
        let began = log.step(&at(9, 40), &gtid).expect("read");
        assert_eq!((began.began.expect("it began").proof, began.timed), (None, None));
        assert_eq!(log.step(&at(8, 40), &Event::Heartbeat).expect("read").timed, None);
        assert_eq!(log.step(&at(7, 40), &Event::Nothing).expect("read").timed, Some(Time::First(7)));
        assert_eq!(log.step(&at(6, 40), &Event::Nothing).expect("read").timed, None);
    }
}
