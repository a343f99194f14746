//! Compressed pieces of a log: MariaDB's events and columns, MySQL's whole transactions.

use super::bytes::Bytes;
use std::{collections::VecDeque, io::Read};

/// The largest packet a server can be set to send, and so the largest event: nothing grows past it.
const LARGEST: u64 = 1 << 30;

/// MariaDB's compressed events: `0x80 | algorithm << 4 | n`, the length in `n` bytes, a zlib stream.
pub(in super::super) fn event(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(packed);
    let head = bytes.u8()?;
    if head & 0xf0 != 0x80 {
        return None;
    }
    let width = usize::from(head & 7);
    let length = bytes.uint_be(width).filter(|_| (1..=4).contains(&width))?;
    exactly(flate2::read::ZlibDecoder::new(bytes.0), length)
}

/// MariaDB's compressed columns: nothing; or `method << 4 | bare << 3 | n`, the length in `n` bytes, a deflate stream,
/// in zlib's wrapping unless it is bare.
/// Method 0: the value itself follows.
pub(in super::super) fn column(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(packed);
    let Some(head) = bytes.u8() else { return Some(Vec::new()) };
    match head >> 4 {
        0 => Some(bytes.rest().to_vec()),
        8 => {
            let width = usize::from(head & 7);
            let length = bytes.uint_be(width).filter(|_| (1..=4).contains(&width))?;
            match head & 8 != 0 {
                true => exactly(flate2::read::DeflateDecoder::new(bytes.0), length),
                false => exactly(flate2::read::ZlibDecoder::new(bytes.0), length),
            }
        }
        _ => None,
    }
}

/// `length` bytes of the stream, no fewer and no more. What is claimed is not believed before it is there.
fn exactly(stream: impl Read, length: u64) -> Option<Vec<u8>> {
    if length > LARGEST {
        return None;
    }
    let mut all = Vec::new();
    let read = stream.take(length + 1).read_to_end(&mut all).ok()?;
    (read as u64 == length).then_some(all)
}

/// The events inside a compressed transaction of MySQL, one at a time.
pub(in super::super) struct Payload {
    stream: Box<dyn Read + Send>,
}

impl Payload {
    /// The body of a TRANSACTION_PAYLOAD: fields (what, length, value) until 0, then the payload.
    pub fn open(body: &[u8]) -> Option<Payload> {
        let mut bytes = Bytes(body);
        let (mut size, mut packing) = (None, None);
        loop {
            let what = bytes.packed()?;
            if what == 0 {
                break;
            }
            let length = bytes.packed_usize()?;
            let mut value = Bytes(bytes.take(length)?);
            match what {
                1 => size = value.packed_usize(),
                2 => packing = value.packed(),
                // 3 is the size before compression: not believed. Newer ones describe, too.
                _ => {}
            }
        }
        let payload = bytes.take(size?)?.to_vec();
        let stream: Box<dyn Read + Send> = match packing? {
            0 => Box::new(zstd::stream::read::Decoder::new(VecDeque::from(payload)).ok()?),
            255 => Box::new(VecDeque::from(payload)),
            _ => return None,
        };
        Some(Payload { stream })
    }

    /// The next event, header and all; they have no checksums. `Some(None)`: there are no more.
    pub fn next(&mut self) -> Option<Option<Vec<u8>>> {
        let mut event = Vec::new();
        self.stream.by_ref().take(19).read_to_end(&mut event).ok()?;
        if event.is_empty() {
            return Some(None);
        }
        let size = u64::from(u32::from_le_bytes(event.get(9..13)?.try_into().ok()?));
        let body = size.checked_sub(19).filter(|&body| event.len() == 19 && body <= LARGEST)?;
        let read = self.stream.by_ref().take(body).read_to_end(&mut event).ok()?;
        (read as u64 == body).then_some(Some(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn deflated(data: &[u8]) -> Vec<u8> {
        let mut stream = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        stream.write_all(data).expect("memory");
        stream.finish().expect("memory")
    }

    #[test]
    fn what_was_packed_comes_out_and_nothing_else_does() {
        let data = b"compress me, compress me, compress me".repeat(20);
        let mut packed = vec![0x82];
        packed.extend((data.len() as u16).to_be_bytes());
        packed.extend(deflated(&data));
        assert_eq!(event(&packed), Some(data.clone()));
        assert!((0..packed.len() - 4).all(|cut| event(&packed[..cut]).is_none()));
        packed[2] += 1;
        assert_eq!(event(&packed), None, "shorter than it claims");
        assert_eq!(event(&[0x84, 0xff, 0xff, 0xff, 0xff, 0x78]), None, "no room is made for what is only claimed");
        packed[2] -= 1;
        assert_eq!(column(&packed), Some(data));
        packed[0] |= 8;
        assert_eq!(column(&packed), None, "not bare");
        assert_eq!(column(&[]), Some(Vec::new()));
        assert_eq!(column(b"\0plain"), Some(b"plain".to_vec()));
        assert_eq!(column(b"\x20plain"), None);
    }

    #[test]
    fn a_compressed_transaction_gives_its_events_one_by_one() {
        let inner = |size: u8| {
            let mut event = vec![size; 19];
            event[9..13].copy_from_slice(&(19 + u32::from(size)).to_le_bytes());
            event.extend(vec![size; usize::from(size)]);
            event
        };
        let plain = [inner(3), inner(0), inner(40)].concat();
        for packing in [0_u8, 255] {
            let packed =
                if packing == 0 { zstd::encode_all(plain.as_slice(), 3).expect("memory") } else { plain.clone() };
            let mut body = vec![2, if packing == 0 { 1 } else { 3 }];
            body.extend(if packing == 0 { vec![0] } else { vec![0xfc, 255, 0] });
            body.extend([1, 3, 0xfc]);
            body.extend((packed.len() as u16).to_le_bytes());
            body.extend([0]);
            body.extend(&packed);
            let mut payload = Payload::open(&body).expect("well-formed");
            for size in [3, 0, 40] {
                assert_eq!(payload.next(), Some(Some(inner(size))));
            }
            assert_eq!(payload.next(), Some(None));
            assert!((0..body.len()).all(|cut| Payload::open(&body[..cut]).is_none()));
        }
    }
}
