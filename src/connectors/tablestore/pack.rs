//! Bodies packed as zlib, with sums. Pure.

use super::plainbuffer::Corrupt;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use flate2::{
    Compression,
    read::{ZlibDecoder, ZlibEncoder},
};
use md5::{Digest, Md5};
use std::io::Read;

/// As headers tell it.
pub(super) fn md5(bytes: &[u8]) -> String {
    BASE64.encode(Md5::digest(bytes))
}

/// At the quickest: it is for slow links, not for small disks.
pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() / 2);
    // Reading from memory cannot fail.
    let _ = ZlibEncoder::new(bytes, Compression::fast()).read_to_end(&mut packed);
    packed
}

/// `length` is what was told, and what the room is made for: the caller bounds it.
pub(super) fn inflate(packed: &[u8], length: usize) -> Result<Vec<u8>, Corrupt> {
    let wrong = |failure| Corrupt(format!("a packed answer cannot be unpacked: {failure}"));
    let mut decoder = ZlibDecoder::new(packed);
    let mut raw = vec![0; length];
    decoder.read_exact(&mut raw).map_err(wrong)?;
    // The end, and with it the stream's own sum, is looked at by who reads on.
    match decoder.read(&mut [0]).map_err(wrong)? {
        0 => Ok(raw),
        _ => Err(Corrupt::new("a packed answer is longer than it says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again_and_no_longer_than_told() {
        let raw = vec![7; 100_000];
        let packed = deflate(&raw);
        assert!(packed.len() < 1000);
        assert_eq!(inflate(&packed, raw.len()).unwrap(), raw);
        assert!(inflate(&packed, raw.len() - 1).is_err());
        assert!(inflate(&packed, raw.len() + 1).is_err());
        assert!(inflate(&packed[..packed.len() - 1], raw.len()).is_err());
        assert_eq!(md5(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }
}
