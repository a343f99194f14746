//! Text in the character sets of a column, turned into Unicode as the server itself would. Pure.
//!
//! The server sends text as it keeps it, in rows of a query as in rows of the log. A character set whose tables we do not
//! have, or a value that is not well-formed in its own, stays what it is: bytes with the set's name.

use super::charset_tables::upper_half;
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, SHIFT_JIS};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Charset {
    pub name: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Utf8,
    Ascii,
    /// Two bytes a character, big-endian; no surrogates.
    Ucs2,
    Utf16,
    Utf16le,
    Utf32,
    /// One byte a character.
    Single(&'static [u16; 128]),
    /// Several bytes a character.
    Multi(&'static Multi),
    /// Not known here.
    Foreign,
}

impl Charset {
    /// By the server's name of it.
    pub fn named(name: &str) -> Charset {
        let form = match name {
            "utf8mb4" | "utf8mb3" | "utf8" => Form::Utf8,
            "ascii" => Form::Ascii,
            "ucs2" => Form::Ucs2,
            "utf16" => Form::Utf16,
            "utf16le" => Form::Utf16le,
            "utf32" => Form::Utf32,
            _ => match upper_half(name) {
                Some(table) => Form::Single(table),
                None => MULTI.iter().find(|multi| multi.names.contains(&name)).map_or(Form::Foreign, Form::Multi),
            },
        };
        Charset { name: name.to_owned(), form }
    }

    /// Whether bytes that `decode` does not take are no text to the server either: it would put `?` in their place.
    pub fn is_malformed(&self, bytes: &[u8]) -> bool {
        !matches!(self.form, Form::Single(_) | Form::Multi(_) | Form::Foreign) && self.decode(bytes).is_none()
    }

    /// How many bytes the text has in this set; no less where characters are of several widths.
    pub fn bytes_of(&self, text: &str) -> usize {
        let of_width = |wide| text.chars().map(|char| if char.is_ascii() { 1 } else { wide }).sum();
        match self.form {
            Form::Utf8 | Form::Ascii => text.len(),
            Form::Ucs2 | Form::Utf16 | Form::Utf16le => text.encode_utf16().count() * 2,
            Form::Utf32 => text.chars().count() * 4,
            Form::Single(_) => text.chars().count(),
            Form::Multi(multi) => of_width(if multi.of_three.is_some() { 3 } else { 2 }),
            Form::Foreign => of_width(4),
        }
    }

    /// `None`: not text that we can tell.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        let text = |chars: Option<String>| chars.map(Cow::Owned);
        match self.form {
            Form::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Form::Ascii => bytes.is_ascii().then(|| Cow::Borrowed(std::str::from_utf8(bytes).expect("ASCII"))),
            Form::Ucs2 => text(units(bytes, u16::from_be_bytes)?.map(|unit| char::from_u32(unit.into())).collect()),
            Form::Utf16 => text(utf16(bytes, u16::from_be_bytes)),
            Form::Utf16le => text(utf16(bytes, u16::from_le_bytes)),
            Form::Utf32 => {
                let (chars, []) = bytes.as_chunks::<4>() else { return None };
                text(chars.iter().map(|char| char::from_u32(u32::from_be_bytes(*char))).collect())
            }
            Form::Single(_) if bytes.is_ascii() => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Form::Single(table) => text(bytes.iter().map(|byte| single(*byte, table)).collect()),
            Form::Multi(multi) => multi.decode(bytes),
            Form::Foreign => None,
        }
    }
}

fn units(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Option<impl Iterator<Item = u16>> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    Some(units.iter().map(move |unit| read(*unit)))
}

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Option<String> {
    char::decode_utf16(units(bytes, read)?).collect::<Result<_, _>>().ok()
}

fn single(byte: u8, table: &[u16; 128]) -> Option<char> {
    match byte.checked_sub(128) {
        None => Some(char::from(byte)),
        Some(place) => match table[usize::from(place)] {
            // Another spelling of a plain one comes back as that.
            ..128 => None,
            unit => char::from_u32(unit.into()),
        },
    }
}

/// Where a table of the web's differs from the server's, a value stays bytes.
#[derive(Debug, PartialEq)]
struct Multi {
    names: &'static [&'static str],
    table: &'static Encoding,
    /// Bytes of 128 and above that are a character by themselves.
    alone: (u8, u8),
    /// The lowest second byte.
    second: u8,
    /// First byte of characters of three bytes.
    of_three: Option<u8>,
    /// Characters, as numbers of their bytes, that the server reads otherwise or not at all, or writes as other bytes.
    unlike: &'static [(u32, u32)],
}

static MULTI: [Multi; 7] = [
    Multi {
        names: &["gbk"],
        table: GBK,
        alone: NONE_ALONE,
        second: 0x40,
        of_three: None,
        unlike: &[
            (0xa140, 0xa1a0),
            (0xa240, 0xa2a0),
            (0xa2ab, 0xa2b0),
            (0xa2e3, 0xa2e4),
            (0xa2ef, 0xa2f0),
            (0xa2fd, 0xa3a0),
            (0xa440, 0xa4a0),
            (0xa4f4, 0xa5a0),
            (0xa5f7, 0xa6a0),
            (0xa6b9, 0xa6c0),
            (0xa6d9, 0xa6df),
            (0xa6ec, 0xa6ed),
            (0xa6f3, 0xa6f3),
            (0xa6f6, 0xa7a0),
            (0xa7c2, 0xa7d0),
            (0xa7f2, 0xa7fe),
            (0xa896, 0xa8a0),
            (0xa8bc, 0xa8bc),
            (0xa8bf, 0xa8bf),
            (0xa8c1, 0xa8c4),
            (0xa8ea, 0xa8fe),
            (0xa958, 0xa958),
            (0xa95b, 0xa95b),
            (0xa95d, 0xa95f),
            (0xa989, 0xa995),
            (0xa997, 0xa9a3),
            (0xa9f0, 0xa9fe),
            (0xaaa1, 0xaffe),
            (0xd7fa, 0xd7fe),
            (0xf8a1, 0xfefe),
        ],
    },
    Multi {
        names: &["gb2312"],
        table: GBK,
        alone: NONE_ALONE,
        second: 0xa1,
        of_three: None,
        unlike: &[
            (0xa1a4, 0xa1a4),
            (0xa1aa, 0xa1aa),
            (0xa2a1, 0xa2b0),
            (0xa2e3, 0xa2e4),
            (0xa2ef, 0xa2f0),
            (0xa2fd, 0xa2fe),
            (0xa4f4, 0xa4fe),
            (0xa5f7, 0xa5fe),
            (0xa6b9, 0xa6c0),
            (0xa6d9, 0xa6fe),
            (0xa7c2, 0xa7d0),
            (0xa7f2, 0xa7fe),
            (0xa8bb, 0xa8c4),
            (0xa8ea, 0xa8fe),
            (0xa9a1, 0xa9a3),
            (0xa9f0, 0xaffe),
            (0xd7fa, 0xd7fe),
            (0xf8a1, 0xfefe),
        ],
    },
    Multi {
        names: &["big5"],
        table: BIG5,
        alone: NONE_ALONE,
        second: 0x40,
        of_three: None,
        unlike: &[
            (0x8140, 0xa0fe),
            (0xa145, 0xa145),
            (0xa14e, 0xa14e),
            (0xa15a, 0xa15a),
            (0xa1c2, 0xa1c5),
            (0xa1e3, 0xa1e3),
            (0xa1f2, 0xa1f3),
            (0xa1fe, 0xa242),
            (0xa244, 0xa247),
            (0xa2cc, 0xa2ce),
            (0xa3c0, 0xa3e1),
            (0xc6a1, 0xc8fe),
            (0xf9dd, 0xfefe),
        ],
    },
    Multi {
        names: &["sjis"],
        table: SHIFT_JIS,
        alone: (0xa1, 0xdf),
        second: 0x40,
        of_three: None,
        unlike: &[
            (0x5c, 0x5c),
            (0x815f, 0x8161),
            (0x817c, 0x817c),
            (0x8191, 0x8192),
            (0x81ca, 0x81ca),
            (0x8740, 0x879c),
            (0xed40, 0xfcfc),
        ],
    },
    Multi {
        names: &["cp932"],
        table: SHIFT_JIS,
        alone: (0xa1, 0xdf),
        second: 0x40,
        of_three: None,
        unlike: &[
            (0x8790, 0x8792),
            (0x8795, 0x8797),
            (0x879a, 0x879c),
            (0xed40, 0xeefc),
            (0xfa4a, 0xfa54),
            (0xfa58, 0xfa5b),
        ],
    },
    Multi { names: &["euckr"], table: EUC_KR, alone: NONE_ALONE, second: 0x41, of_three: None, unlike: &[] },
    Multi {
        names: &["ujis", "eucjpms"],
        table: EUC_JP,
        alone: NONE_ALONE,
        second: 0xa1,
        of_three: Some(0x8f),
        unlike: &[
            (0xa1c0, 0xa1c2),
            (0xa1dd, 0xa1dd),
            (0xa1f1, 0xa1f2),
            (0xa2cc, 0xa2cc),
            (0xada1, 0xadfc),
            (0xf9a1, 0xfcfe),
            (0x8f_a2b7, 0x8f_a2b7),
            (0x8f_a2c3, 0x8f_a2c3),
            (0x8f_a2f1, 0x8f_a2f1),
        ],
    },
];

const NONE_ALONE: (u8, u8) = (255, 0);

impl Multi {
    fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            let length = match first {
                0..128 => 1,
                _ if (self.alone.0..=self.alone.1).contains(&first) => 1,
                _ if self.of_three == Some(first) => 3,
                _ => 2,
            };
            let char = rest.get(..length)?;
            if length > 1 || first == b'\\' {
                let number = char.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
                let differs = self.unlike.iter().any(|(from, to)| (*from..=*to).contains(&number));
                (!differs && (length == 1 || after[0] >= self.second)).then_some(())?;
            }
            rest = &rest[length..];
        }
        self.table.decode_without_bom_handling_and_without_replacement(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(charset: &str, bytes: &[u8]) -> Option<String> {
        Charset::named(charset).decode(bytes).map(Cow::into_owned)
    }

    #[test]
    fn reads_each_form() {
        assert_eq!(read("utf8mb4", "é😀".as_bytes()).as_deref(), Some("é😀"));
        assert_eq!(read("latin1", b"\xe9\x80\x81").as_deref(), Some("é€\u{81}"));
        assert_eq!(read("ucs2", &[0, 0x41, 0x4e, 0x2d]).as_deref(), Some("A中"));
        assert_eq!(read("utf16", &[0xd8, 0x3d, 0xde, 0x00]).as_deref(), Some("😀"));
        assert_eq!(read("utf16le", &[0x3d, 0xd8, 0x00, 0xde]).as_deref(), Some("😀"));
        assert_eq!(read("utf32", &[0, 1, 0xf6, 0]).as_deref(), Some("😀"));
        assert_eq!(read("gbk", b"\xd6\xd0").as_deref(), Some("中"));
    }

    #[test]
    fn what_is_no_text_is_told() {
        for (charset, bytes) in [
            ("utf8mb4", &b"\xff"[..]),
            ("ascii", b"\x80"),
            ("ucs2", b"\xd8\x3d"),
            ("ucs2", b"a"),
            ("utf16", b"\xd8\x3d\x00\x41"),
            ("utf32", b"\x00\x11\x00\x00"),
            ("swe7", b"a"),
            ("cp1251", b"\x98"),
            ("gbk", b"\xd6"),
        ] {
            assert_eq!(read(charset, bytes), None, "{charset} {bytes:?}");
        }
    }
}
