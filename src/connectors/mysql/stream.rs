//! Transactions of the log's stream: where each begins and ends, and what is behind them.

use super::{
    binlog::{Event, Header, maria},
    ddl::{self, Statement},
    gtid::{GtidSet, MariaGtid},
    position::{File, Gtid, Reach},
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
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub gtid: Gtid,
    /// What is before it in the stream.
    pub from: Reach,
    pub flags: u8,
    pub time: u32,
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

    /// The server tells 32 bits of where an event ends; the whole number is the sum of what came.
    fn count(&mut self, header: &Header, event: &Event<'_>) -> Result<()> {
        if !self.counts() || header.inner || header.artificial || matches!(event, Event::Heartbeat) {
            return Ok(());
        }
        self.here += u64::from(header.size);
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
        let time = match u32::try_from(written_us / 1_000_000) {
            Ok(0) | Err(_) => header.time,
            Ok(time) => time,
        };
        let open = Open { gtid, from, flags, time, committed_us, standalone, begun };
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
