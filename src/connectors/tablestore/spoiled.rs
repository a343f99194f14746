//! Every decoder is fed what was spoiled by chance: none panics, and none takes more room than it was given bytes.

use super::{
    answer::{Checks, Reply},
    captured,
    crc::Crc,
    matrix::{self, Matrix},
    messages::{error, filter, row, stream, table, tunnel},
    operation::{GET_RANGE, LIST_TUNNEL},
    pack,
    plainbuffer::{Row, Rows, Value, golden},
};
use bytes::Bytes;
use prost::Message;

/// A xorshift: the same seed, the same bytes.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(7) {
                _ if bytes.is_empty() => bytes.extend_from_slice(&other[..self.below(other.len())]),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 127, 128, 255][self.below(13)],
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..(at + self.below(9)).min(bytes.len()))),
                4 => {
                    let from = self.below(other.len());
                    let part = other[from..(from + self.below(40)).min(other.len())].to_vec();
                    bytes.splice(at..at, part);
                }
                // A length that is a lie.
                5 if at + 4 <= bytes.len() => {
                    let lie = [u32::MAX, 1 << 31, 1 << 24, 0, 1, 0x7fff_ffff][self.below(6)];
                    bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
                }
                _ => {
                    let part = bytes[at..(at + self.below(20)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let golden = golden::ROWS.iter().chain(&golden::RECORDS).chain([&matrix::tests::OFFICIAL]);
    let mut corpus: Vec<Vec<u8>> = golden.map(|hex| golden::bytes(hex)).collect();
    corpus.extend(captured::all().into_iter().flat_map(|captured| [captured.body, captured.sent]));
    corpus.retain(|bytes| !bytes.is_empty());
    corpus.sort();
    corpus.dedup();
    corpus
}

fn rows(bytes: &[u8]) {
    let Ok(mut rows) = Rows::read(bytes) else { return };
    let mut row = Row::default();
    while let Ok(true) = rows.next_into(&mut row) {
        // A cell takes eight bytes at least.
        assert!((row.key.len() + row.cells.len()) * 8 <= bytes.len());
        row.key.iter().chain(&row.cells).for_each(|cell| drop(cell.act()));
    }
}

fn matrices(bytes: &[u8]) {
    let mut summed = bytes.to_vec();
    if let [body @ .., crc] = &mut summed[..] {
        *crc = Crc::of(body);
    }
    for block in [bytes, &summed] {
        if let Ok(matrix) = Matrix::read(block) {
            assert!(matrix.columns.len() * 2 <= block.len() && matrix.rows <= block.len());
            matrix.each(|row| assert_eq!(row.len(), matrix.columns.len())).unwrap();
        }
    }
}

fn messages(bytes: &Bytes) {
    fn read<M: Message + Default>(bytes: &Bytes) {
        if let Ok(message) = M::decode(bytes.clone()) {
            drop(M::decode(&message.encode_to_vec()[..]).expect("what was written is read"));
        }
    }
    read::<error::Error>(bytes);
    read::<error::TunnelError>(bytes);
    read::<filter::Filter>(bytes);
    read::<filter::CompositeColumnValue>(bytes);
    read::<row::BatchResponse>(bytes);
    read::<row::BatchWriteRowRequest>(bytes);
    read::<row::BatchGetRowRequest>(bytes);
    read::<row::GetRangeResponse>(bytes);
    read::<row::GetRowResponse>(bytes);
    read::<row::BulkExportResponse>(bytes);
    read::<stream::DescribeStreamResponse>(bytes);
    read::<stream::StreamRecordResponse>(bytes);
    read::<table::CreateTableRequest>(bytes);
    read::<table::DescribeTableResponse>(bytes);
    read::<table::SplitPointsResponse>(bytes);
    read::<tunnel::DescribeTunnelResponse>(bytes);
    read::<tunnel::HeartbeatResponse>(bytes);
    read::<tunnel::ReadRecordsResponse>(bytes);
}

fn answers(bytes: &Bytes, chance: &mut Chance) {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        header("x-ots-response-compress-type", "deflate"),
        header("x-ots-response-compress-size", ["0", "10", "300", "99999", "-1", "x"][chance.below(6)]),
    ];
    let operation = [GET_RANGE, LIST_TUNNEL][chance.below(2)];
    let checks = Checks { operation, key: None, access_key_id: "ak", limit: 5000 };
    for headers in [Vec::new(), headers] {
        let status = [200, 301, 403, 503][chance.below(4)];
        if let Ok(body) = (Reply { status, headers, body: bytes.clone() }).read(&checks) {
            assert!(body.len() <= bytes.len().max(checks.limit));
        }
    }
    if let Ok(raw) = pack::inflate(bytes, 300) {
        assert_eq!(raw.len(), 300);
    }
}

#[test]
fn spoiled_bytes_are_refused_or_read_and_nothing_else_happens() {
    const SEED: u64 = 0x7ab1_e570_12e0_0001;
    let corpus = corpus();
    let mut chance = Chance(SEED);
    for _ in 0..6 {
        for whole in &corpus {
            let mut bytes = whole.clone();
            let other = &corpus[chance.below(corpus.len())];
            chance.spoil(&mut bytes, other);
            rows(&bytes);
            // Rows lie within messages, behind a few bytes.
            let inner = bytes.windows(4).position(|part| part == [0x75, 0, 0, 0]).unwrap_or_default();
            rows(&bytes[inner..]);
            matrices(&bytes);
            drop(Value::from_variant(&bytes));
            let bytes = Bytes::from(bytes);
            messages(&bytes);
            answers(&bytes, &mut chance);
        }
    }
}
