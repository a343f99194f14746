//! Values as real servers write them, and nothing from bytes that end too early.

use super::*;

fn column(kind: u8, meta: u16) -> LoggedColumn {
    LoggedColumn { kind, meta, nullable: true }
}

fn read(kind: u8, meta: u16, bytes: &[u8]) -> Raw<'_> {
    for cut in 0..bytes.len() {
        assert!(raw_value(column(kind, meta), &mut Bytes(&bytes[..cut])).is_none(), "cut at {cut}");
    }
    let mut rest = Bytes(bytes);
    let value = raw_value(column(kind, meta), &mut rest).expect("a value");
    assert!(rest.0.is_empty(), "all of it");
    value
}

#[test]
fn numbers() {
    assert_eq!(read(kind::INT24, 0, &[0xff, 0xff, 0xff]), Raw::Integer { bits: 0xff_ffff, width: 3 });
    assert_eq!(read(kind::FLOAT, 4, &0.1_f32.to_le_bytes()), Raw::Float(0.1));
    assert_eq!(read(kind::YEAR, 0, &[126]), Raw::Year(2026));
    assert_eq!(read(kind::YEAR, 0, &[0]), Raw::Year(0));
    assert_eq!(read(kind::BIT, 0x0102, &[2, 3]), Raw::Bit(0x203));
    assert_eq!(read(kind::ENUM, 2, &[1, 1]), Raw::Enum(257));
    assert_eq!(read(kind::SET, 8, &[0, 0, 0, 0, 0, 0, 0, 0x80]), Raw::Set(1 << 63));
}

#[test]
fn decimals() {
    let text = |digits, scale, bytes: &[u8]| decimal_text(bytes, digits, scale);
    // The manual's own example: 1234567890.1234 as DECIMAL(14,4), and its negative.
    assert_eq!(text(14, 4, &[0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2]).as_deref(), Some("1234567890.1234"));
    assert_eq!(text(14, 4, &[0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d]).as_deref(), Some("-1234567890.1234"));
    assert_eq!(text(3, 2, &[0x80, 0x00]).as_deref(), Some("0.00"));
    assert_eq!(text(2, 2, &[0x80 | 5]).as_deref(), Some("0.05"));
    assert_eq!(text(9, 0, &[0x80, 0, 0, 7]).as_deref(), Some("7"));
    assert_eq!(text(9, 0, &[0xff, 0xff, 0xff, 0xff]), None, "more than nine digits");
    assert_eq!(decimal_length(65, 30), Some(30));
    assert_eq!(decimal_length(2, 3), None);
}

#[test]
fn dates_and_times() {
    let day = Date { year: 2026, month: 2, day: 28 };
    let packed = 2026_u32 << 9 | 2 << 5 | 28;
    assert_eq!(read(kind::DATE, 0, &packed.to_le_bytes()[..3]), Raw::Date(day));
    assert_eq!(read(kind::DATE, 0, &[0, 0, 0]), Raw::Date(Date { year: 0, month: 0, day: 0 }));
    let clock = 23_u64 << 12 | 59 << 6 | 58;
    let stored = 1_u64 << 39 | (2026 * 13 + 2) << 22 | 28 << 17 | clock;
    let mut bytes = stored.to_be_bytes()[3..].to_vec();
    bytes.extend([0x01, 0xe2, 0x40]);
    let nanos = (23 * 3600 + 59 * 60 + 58) * SECOND + 123_456_000;
    assert_eq!(read(kind::DATETIME2, 6, &bytes), Raw::DateTime(day, nanos));
    bytes.truncate(5);
    bytes.push(50);
    assert_eq!(read(kind::DATETIME2, 1, &bytes), Raw::DateTime(day, nanos - 123_456_000 + 500_000_000));
    assert_eq!(read(kind::DATETIME, 0, &20_260_228_235_958_u64.to_le_bytes()), Raw::DateTime(day, nanos - 123_456_000));
    assert_eq!(read(kind::TIMESTAMP2, 3, &[0, 0, 0, 1, 0x26, 0xac]), Raw::Timestamp(1, 990_000));
    // -00:00:01, -00:00:01.1, 838:59:59 of the server's own comments.
    assert_eq!(read(kind::TIME2, 0, &[0x7f, 0xff, 0xff]), Raw::Time(-SECOND));
    assert_eq!(read(kind::TIME2, 2, &[0x7f, 0xff, 0xfe, 0xf6]), Raw::Time(-SECOND - 100_000_000));
    let longest = (1 << 23) | 838_u64 << 12 | 59 << 6 | 59;
    assert_eq!(read(kind::TIME2, 0, &longest.to_be_bytes()[5..]), Raw::Time((838 * 3600 + 59 * 60 + 59) * SECOND));
    assert_eq!(
        read(kind::TIME, 0, &(-8_385_959_i32).to_le_bytes()[..3]),
        Raw::Time(-(838 * 3600 + 59 * 60 + 59) * SECOND)
    );
}

#[test]
fn text_and_bytes() {
    assert_eq!(read(kind::VARCHAR, 255, &[2, b'a', b'b']), Raw::Bytes(b"ab"));
    assert_eq!(read(kind::VARCHAR, 256, &[2, 0, b'a', b'b']), Raw::Bytes(b"ab"));
    assert_eq!(read(kind::STRING, 10, &[1, b'a']), Raw::Bytes(b"a"));
    assert_eq!(read(kind::BLOB, 3, &[1, 0, 0, 7]), Raw::Bytes(&[7]));
    assert_eq!(read(kind::BLOB_COMPRESSED, 2, &[1, 0, 7]), Raw::Packed(&[7]));
    assert_eq!(raw_value(column(kind::BLOB, 9), &mut Bytes(&[0; 20])), None, "a width that no length has");
    assert_eq!(raw_value(column(77, 0), &mut Bytes(&[0; 20])), None, "no type");
}
