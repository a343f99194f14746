//! Text in the character sets of a column, turned into Unicode as the server itself would. Pure.
//!
//! The server sends text as it keeps it, in rows of a query as in rows of the log. A character set whose tables we do not
//! have, or a value that is not well-formed in its own, stays what it is: bytes with the set's name.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};
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
    /// By a table that is the server's own for the bytes of `alike`.
    Table(&'static Encoding, fn(&[u8]) -> bool),
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
            _ => single(name).or_else(|| double(name)).unwrap_or(Form::Foreign),
        };
        Charset { name: name.to_owned(), form }
    }

    /// Whether bytes that `decode` does not take are no text to the server either: it would put `?` in their place.
    pub fn is_malformed(&self, bytes: &[u8]) -> bool {
        !matches!(self.form, Form::Table(..) | Form::Foreign) && self.decode(bytes).is_none()
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
            Form::Table(_, _) if bytes.is_ascii() && self.name != "sjis" => {
                Some(Cow::Borrowed(std::str::from_utf8(bytes).expect("ASCII")))
            }
            Form::Table(table, alike) => {
                alike(bytes).then(|| table.decode_without_bom_handling_and_without_replacement(bytes)).flatten()
            }
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

/// One byte a character.
fn single(name: &str) -> Option<Form> {
    let (table, alike): (_, fn(&[u8]) -> bool) = match name {
        "latin1" => (encoding_rs::WINDOWS_1252, |_| true),
        "latin2" => (encoding_rs::ISO_8859_2, |_| true),
        "latin7" => (encoding_rs::ISO_8859_13, |_| true),
        "cp1250" => (encoding_rs::WINDOWS_1250, |_| true),
        "cp1251" => (encoding_rs::WINDOWS_1251, |_| true),
        "cp1256" => (encoding_rs::WINDOWS_1256, |_| true),
        "cp1257" => (encoding_rs::WINDOWS_1257, |_| true),
        "cp866" => (encoding_rs::IBM866, |_| true),
        "koi8r" => (encoding_rs::KOI8_R, |_| true),
        "koi8u" => (encoding_rs::KOI8_U, |_| true),
        "greek" => (encoding_rs::ISO_8859_7, |_| true),
        "hebrew" => (encoding_rs::ISO_8859_8, |_| true),
        "latin5" => (encoding_rs::WINDOWS_1254, |_| true),
        "tis620" => (encoding_rs::WINDOWS_874, |_| true),
        "macroman" => (encoding_rs::MACINTOSH, |_| true),
        _ => return None,
    };
    Some(Form::Table(table, alike))
}

/// Several bytes a character.
fn double(name: &str) -> Option<Form> {
    let (table, alike): (_, fn(&[u8]) -> bool) = match name {
        "gbk" | "gb2312" => (GBK, |_| true),
        "gb18030" => (GB18030, |_| true),
        "big5" => (BIG5, |_| true),
        "sjis" | "cp932" => (SHIFT_JIS, |_| true),
        "euckr" => (EUC_KR, |_| true),
        "ujis" | "eucjpms" => (EUC_JP, |_| true),
        _ => return None,
    };
    Some(Form::Table(table, alike))
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
            ("cp850", b"a"),
            ("gbk", b"\xd6"),
        ] {
            assert_eq!(read(charset, bytes), None, "{charset} {bytes:?}");
        }
    }
}
