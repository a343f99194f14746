//! The stream of a server's log: asked for, read event by event, and found dead if it is.

use super::{
    binlog::{self, Decoder, Header, Payload},
    config::Config,
    connect::Session,
    failure,
    gtid::GtidSet,
    position::Reach,
};
use crate::error::{Error, Result};
use futures_util::StreamExt;
use mysql_async::{BinlogStream, BinlogStreamRequest, Sid};
use std::{collections::VecDeque, io, time::Duration};
use tokio::time::Instant;

/// The server speaks at least so often.
/// An end of ours that it has not noticed holds one of its connections until then.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A stream on which nothing came for so long is dead.
const SILENCE: Duration = Duration::from_secs(30);

/// How long the server waits for us to read on: a target may be slow, and that is no reason to read again.
const SLOW_READER_S: u64 = 365 * 24 * 3600;

pub(super) struct Wire {
    stream: BinlogStream,
    from: Reach,
    packed: Packed,
    /// Since when nothing came although we waited.
    quiet_since: Option<Instant>,
}

impl Wire {
    /// The log behind `from`.
    pub async fn open(config: &Config, mut session: Session, from: &Reach) -> Result<Wire> {
        let server_id = config.server_id.unwrap_or_else(some_id);
        let mut settings = vec![
            format!("@master_heartbeat_period = {}", HEARTBEAT.as_nanos()),
            format!("@source_heartbeat_period = {}", HEARTBEAT.as_nanos()),
            "@source_binlog_checksum = 'CRC32'".to_owned(),
            format!("net_write_timeout = {SLOW_READER_S}"),
            format!("@slave_uuid = '{}'", uuid::Uuid::new_v4()),
        ];
        let mut request = BinlogStreamRequest::new(server_id).with_pos(4);
        let file;
        match from {
            Reach::Maria(domains) => {
                settings.push("@mariadb_slave_capability = 4".to_owned());
                settings.push(format!("@slave_connect_state = '{domains}'"));
                // A GTID that the log does not hold, exactly, is an error.
                settings.push("@slave_gtid_strict_mode = 1".to_owned());
                settings.push("@slave_gtid_ignore_duplicates = 0".to_owned());
            }
            Reach::Mysql(set) => request = request.with_gtid().with_gtid_set(asked(set)?),
            Reach::File(at) => {
                file = at.name.clone();
                if !at.is_askable() {
                    return Err(Error::lost(format!(
                        "the log cannot be asked for from {from} on: that is beyond 4 GiB"
                    ))
                    .hint("delete the job and create it again with `existing: replace`"));
                }
                request = request.with_filename(file.as_bytes()).with_pos(at.byte);
            }
        }
        let set_up = session.run(format!("SET {}", settings.join(", "))).await;
        set_up.map_err(|failure| failure::error(failure, "setting up the log's stream"))?;
        let stream = session.conn.get_binlog_stream(request).await;
        let stream = stream.map_err(|failure| of_stream(failure, from))?;
        Ok(Wire { stream, from: from.clone(), packed: Packed::default(), quiet_since: None })
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Logged> {
        let dead = *self.quiet_since.get_or_insert_with(Instant::now) + SILENCE;
        let next = tokio::time::timeout_at(dead, self.stream.next()).await;
        let next = next.map_err(|_| Error::transient(format!("the server said nothing for {SILENCE:?}")))?;
        self.quiet_since = None;
        let event = next.ok_or_else(|| Error::transient("the server ended the log's stream"))?;
        let raw = event.map(|event| bytes_of(&event)).map_err(|failure| of_stream(failure, &self.from))?;
        self.packed.take(raw)
    }
}

/// The driver hands out the events of a compressed transaction behind it, and nothing of one that it cannot unpack: it is
/// unpacked here, too, an event at a time, and what comes is held against that.
#[derive(Default)]
struct Packed {
    /// Sums of its events that are still to come.
    inner: VecDeque<u32>,
}

impl Packed {
    fn take(&mut self, raw: Vec<u8>) -> Result<Logged> {
        let is_packed = raw.get(4) == Some(&binlog::TRANSACTION_PAYLOAD);
        let malformed = || binlog::malformed("a compressed transaction", binlog::TRANSACTION_PAYLOAD);
        if let Some(sum) = self.inner.pop_front() {
            let is_that = !is_packed && crc32fast::hash(&raw) == sum;
            return if is_that { Ok(Logged { raw, inner: true }) } else { Err(malformed()) };
        }
        if is_packed {
            let mut payload = raw.get(binlog::HEADER..).and_then(Payload::open).ok_or_else(malformed)?;
            while let Some(event) = payload.next().ok_or_else(malformed)? {
                self.inner.push_back(crc32fast::hash(&event));
            }
        }
        Ok(Logged { raw, inner: false })
    }
}

/// An event: header, body and checksum.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logged {
    raw: Vec<u8>,
    /// Out of a compressed transaction, without a checksum of its own.
    inner: bool,
}

impl Logged {
    pub fn open(&self, decoder: &mut Decoder) -> Result<(Header, &[u8])> {
        match self.inner {
            true => decoder.open_inner(&self.raw),
            false => decoder.open(&self.raw),
        }
    }
}

/// Everything but these.
fn asked(set: &GtidSet) -> Result<Vec<Sid<'static>>> {
    let parts: io::Result<Vec<Sid<'static>>> = set.parts().map(|part| part.parse()).collect();
    parts.map_err(|invalid| Error::lost(format!("the position's set {set} cannot be asked for")).because(invalid))
}

/// As it was on the wire: the driver took it apart.
fn bytes_of(event: &mysql_async::binlog::events::Event) -> Vec<u8> {
    let header = event.header();
    let data = event.data();
    let mut raw = Vec::with_capacity(header.event_size() as usize);
    raw.extend_from_slice(&header.timestamp().to_le_bytes());
    raw.push(header.event_type_raw());
    raw.extend_from_slice(&header.server_id().to_le_bytes());
    raw.extend_from_slice(&header.event_size().to_le_bytes());
    raw.extend_from_slice(&header.log_pos().to_le_bytes());
    raw.extend_from_slice(&header.flags_raw().to_le_bytes());
    raw.extend_from_slice(data);
    let rest = (header.event_size() as usize).saturating_sub(raw.len());
    if rest == 5 {
        // The format event: which checksum, and its own.
        let algorithm = event.footer().get_checksum_alg().ok().flatten().map_or(0, |algorithm| algorithm as u8);
        raw.push(algorithm);
    }
    if rest >= 4 {
        raw.extend_from_slice(&event.checksum().unwrap_or_default());
    }
    raw
}

/// What the server says when it cannot give the log from there.
fn of_stream(failure: mysql_async::Error, from: &Reach) -> Error {
    const FATAL: u16 = 1236;
    const DENIED: [u16; 2] = [1045, 1227];
    let text = failure.to_string();
    if failure::number(&failure).is_some_and(|number| DENIED.contains(&number)) {
        // It says the same as where a password is wrong.
        return Error::config("the account may not read the log (grant REPLICATION SLAVE)")
            .because(failure)
            .hint("GRANT REPLICATION SLAVE ON *.* TO the account; `whimbrel store check` prints the statement");
    }
    if failure::number(&failure) != Some(FATAL) {
        return failure::error(failure, "reading the log");
    }
    let says = |part: &str| text.contains(part);
    if says("same server_uuid") || says("same server_id") || says("same server-id") {
        return Error::config("another replica of the server has our number")
            .because(failure)
            .hint("remove the store's option `server_id`: then a free number is taken; or give each daemon its own");
    }
    if says("max_allowed_packet") {
        return Error::config("an event of the log is larger than the server may send")
            .because(failure)
            .hint("SET GLOBAL max_allowed_packet = 1073741824");
    }
    Error::lost(format!("the server cannot give its log from {from} on")).because(failure).hint(
        "the log was purged, or belongs to another history: delete the job and create it again with `existing: replace`; \
         keep the log longer with `expire_logs_days` or `binlog_expire_logs_seconds`",
    )
}

/// In the upper half, where nobody numbers by hand; each stream its own, so that no two end each other.
fn some_id() -> u32 {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) | 0x8000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut raw = vec![0; binlog::HEADER];
        raw[4] = kind;
        raw.extend_from_slice(body);
        let size = u32::try_from(raw.len()).expect("small");
        raw[9..13].copy_from_slice(&size.to_le_bytes());
        raw
    }

    /// A transaction as one event, not packed any further.
    fn payload(events: &[Vec<u8>]) -> Vec<u8> {
        let inner = events.concat();
        let length = u8::try_from(inner.len()).expect("small");
        event(binlog::TRANSACTION_PAYLOAD, &[&[2, 3, 0xfc, 255, 0, 1, 1, length, 0][..], &inner].concat())
    }

    #[test]
    fn what_comes_out_of_a_compressed_transaction_is_what_is_in_it() {
        let [first, second] = [event(19, b"a table"), event(30, b"a row")];
        let whole = payload(&[first.clone(), second.clone()]);
        let mut packed = Packed::default();
        let mut take = |raw: &[u8]| packed.take(raw.to_vec()).map(|logged| logged.inner);
        assert!(!take(&whole).expect("the packet itself"));
        assert!(take(&first).expect("its first") && take(&second).expect("its second"));
        assert!(!take(&event(4, b"what follows")).expect("not of it"));
        // Another row, another order, one that is missing: the driver has read it otherwise.
        for wrong in [event(30, b"a raw"), second.clone(), event(4, b"what follows"), whole.clone()] {
            let mut packed = Packed::default();
            packed.take(whole.clone()).expect("the packet itself");
            assert!(packed.take(wrong.clone()).is_err(), "{wrong:?}");
        }
        assert!(
            Packed::default().take(event(binlog::TRANSACTION_PAYLOAD, &[2, 1, 9, 0])).is_err(),
            "not to be unpacked"
        );
    }
}
