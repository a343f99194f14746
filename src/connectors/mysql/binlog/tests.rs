//! Events as servers write them, cut short anywhere, and noise.

use super::*;
use proptest::prelude::*;

fn event(kind: u8, body: &[u8], with_sum: bool) -> Vec<u8> {
    let size = HEADER + body.len() + if with_sum { 4 } else { 0 };
    let mut raw = 1_795_000_000_u32.to_le_bytes().to_vec();
    raw.push(kind);
    raw.extend(7_u32.to_le_bytes());
    raw.extend((size as u32).to_le_bytes());
    raw.extend(1000_u32.to_le_bytes());
    raw.extend([0, 0]);
    raw.extend(body);
    if with_sum {
        raw.extend(crc32fast::hash(&raw).to_le_bytes());
    }
    raw
}

fn format(algorithm: u8) -> Vec<u8> {
    let mut body = vec![4, 0];
    body.extend([b'x'; 50]);
    body.extend([0, 0, 0, 0, 19]);
    let mut heads = vec![0_u8; 171];
    heads[usize::from(TABLE_MAP) - 1] = 8;
    body.extend(&heads);
    body.push(algorithm);
    event(FORMAT_DESCRIPTION, &body, true)
}

fn decoder(algorithm: u8) -> Decoder {
    let mut decoder = Decoder::default();
    let raw = format(algorithm);
    let (header, body) = decoder.open(&raw).expect("a format");
    assert!(matches!(decoder.read(&header, body), Ok(Event::Format)));
    assert_eq!(decoder.heads.len(), 171, "without the algorithm and the sum");
    decoder
}

fn read<T>(kind: u8, body: &[u8], look: impl Fn(Event<'_>) -> T) -> T {
    let mut decoder = decoder(1);
    for cut in 0..body.len() {
        // Not every cut is an error (a name may just be shorter), but none panics.
        let raw = event(kind, &body[..cut], true);
        let (header, body) = decoder.open(&raw).expect("a head");
        drop(decoder.read(&header, body));
    }
    let raw = event(kind, body, true);
    let (header, body) = decoder.open(&raw).expect("a head");
    look(decoder.read(&header, body).expect("an event"))
}

#[test]
fn a_damaged_event_is_found_out() {
    let mut with = decoder(1);
    let mut raw = event(XID, &[1, 0, 0, 0, 0, 0, 0, 0], true);
    assert_eq!(with.open(&raw).expect("whole").1.len(), 8);
    raw[20] ^= 1;
    assert!(with.open(&raw).expect_err("damaged").is_transient());
    assert!(with.open(&raw[..raw.len() - 1]).is_err(), "not as long as it says");
    assert!(with.open(&[]).is_err());
    let raw = event(XID, &[1, 0, 0, 0, 0, 0, 0, 0], false);
    assert_eq!(decoder(0).open(&raw).expect("no sums").1.len(), 8);
    // Before the format is known, a stream's first event may have a sum.
    let raw = event(ROTATE, b"\x04\0\0\0\0\0\0\0binlog.000001", true);
    let (header, body) = Decoder::default().open(&raw).map(|(header, body)| (header, body.to_vec())).expect("a head");
    assert!(matches!(Decoder::default().read(&header, &body), Ok(Event::Rotate { file: b"binlog.000001", byte: 4 })));
}

#[test]
fn transactions_of_both_families() {
    let mut body = 42_u64.to_le_bytes().to_vec();
    body.extend(3_u32.to_le_bytes());
    body.push(maria::STANDALONE);
    body.extend([0; 6]);
    let gtid = read(MARIA_GTID, &body, |event| match event {
        Event::MariaGtid { gtid, flags: maria::STANDALONE } => gtid,
        _ => panic!("another"),
    });
    assert_eq!(gtid.to_string(), "3-7-42");
    let mut body = vec![1];
    body.extend([0x11; 16]);
    body.extend(9_u64.to_le_bytes());
    body.push(2);
    body.extend([0; 16]);
    // When it was committed here, and before that at the server that wrote it.
    body.extend(&(1_u64 << 55 | 1_795_000_000_000_000).to_le_bytes()[..7]);
    body.extend(&1_794_999_998_000_000_u64.to_le_bytes()[..7]);
    let gtid = read(MYSQL_GTID, &body, |event| match event {
        Event::MysqlGtid { gtid, committed_us: 1_795_000_000_000_000, written_us: 1_794_999_998_000_000 } => gtid,
        _ => panic!("another"),
    });
    assert_eq!(gtid.to_string(), "11111111-1111-1111-1111-111111111111:9");
    let xid = [1_u32.to_le_bytes(), 2_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    let body = [&[0][..], &xid, b"abc"].concat();
    let name = read(XA_PREPARE, &body, |event| match event {
        Event::XaPrepare { one_phase: false, xid } => xid,
        _ => panic!("another"),
    });
    assert_eq!(name, "X'6162',X'63',1");
}

#[test]
fn statements_and_what_they_ran_under() {
    let mut variables = vec![0, 0, 0, 0, 0, 1];
    variables.extend((Query::ANSI_QUOTES | 1 << 21).to_le_bytes());
    variables.extend([6, 3, b's', b't', b'd', 4, 8, 0, 8, 0, 8, 0, 5, 200]);
    let mut body = vec![0; 8];
    body.extend([4, 0, 0]);
    body.extend((variables.len() as u16).to_le_bytes());
    body.extend(&variables);
    body.extend(b"shop\0TRUNCATE t");
    read(QUERY, &body, |event| {
        let Event::Query(query) = event else { panic!("another") };
        assert_eq!((query.schema.as_str(), &*query.text), ("shop", b"TRUNCATE t".as_slice()));
        assert_eq!((query.collation, query.sql_mode & Query::ANSI_QUOTES), (Some(8), Query::ANSI_QUOTES));
    });
}

#[test]
fn tables_and_rows() {
    let mut body = vec![9, 0, 0, 0, 0, 0, 1, 0, 4];
    body.extend(b"shop\0\x01t\0");
    // id bigint unsigned, name varchar(300), price decimal(10,2), kind enum, code char(300), n blob
    body.extend([6, 8, 15, 246, 254, 254, 252, 9, 0x2c, 0x01, 10, 2, 247, 1, 0xee, 0x2c, 4, 0b11_1110]);
    body.extend([1, 1, 0x80, 4, 26]);
    for name in ["id", "name", "price", "kind", "code", "n"] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
    }
    body.extend([8, 1, 0]);
    read(TABLE_MAP, &body, |event| {
        let Event::TableMap(map) = event else { panic!("another") };
        assert_eq!((map.id, map.schema, map.name), (9, b"shop".as_slice(), b"t".as_slice()));
    });
    let kinds = [8, 15, 246, 247, 254, 252];
    let whole = table_map::read(&body, 6).and_then(|map| map.layout());
    let layout = whole.expect("a layout");
    assert_eq!(layout.columns.iter().map(|column| column.kind).collect::<Vec<_>>(), kinds);
    assert_eq!(layout.columns[4].meta, 300);
    assert!(!layout.columns[0].nullable && layout.columns[5].nullable);
    assert_eq!(layout.optional.key, Some(vec![0]));
    assert_eq!(layout.optional.names.as_ref().map(|names| names[3].as_str()), Some("kind"));
    assert_eq!(layout.optional.unsigned, Some(vec![true, false, false, false, false, false]));
    let rows = [9, 0, 0, 0, 0, 0, 3, 0, 2, 0, 2, 3, 1, 0, 5, 0, 0, 0];
    read(31, &rows, |event| {
        let Event::Rows(rows) = event else { panic!("another") };
        assert_eq!((rows.operation, rows.table, rows.columns), (Operation::Update, 9, 2));
        assert!(rows.is_without_foreign_keys());
        assert_eq!((rows.present, rows.present_after), ([3].as_slice(), [1].as_slice()));
        assert_eq!(rows.rows().as_deref(), Some([0, 5, 0, 0, 0].as_slice()));
    });
}

#[test]
fn what_is_not_known_is_never_passed_over() {
    let mut decoder = decoder(1);
    for kind in [43, 100, 159, 172, 255] {
        let mut raw = event(kind, b"rows, perhaps", false);
        let header = super::header(&raw).expect("a head");
        assert!(decoder.read(&header, b"").err().is_some_and(|error| error.hint_text().is_some()), "{kind}");
        raw[17] |= 0x80;
        let header = super::header(&raw).expect("a head");
        assert!(matches!(decoder.read(&header, b""), Ok(Event::Nothing)), "{kind}: the server says it may be ignored");
    }
}

/// Met by the noise below: a BIT wider than any server has.
#[test]
fn a_number_of_more_bits_than_there_are_is_none() {
    let column = table_map::LoggedColumn { kind: 16, meta: 2049, nullable: true };
    assert!(raw_value(column, &mut Bytes(&[0; 9])).is_none());
    assert_eq!(Bytes(&[0; 9]).uint_be(9), None);
}

proptest! {
    #[test]
    fn noise_is_refused_without_harm(kind in 0_u8..=255, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = decoder(1);
        let raw = event(kind, &body, true);
        if let Ok((header, body)) = decoder.open(&raw) {
            match decoder.read(&header, body) {
                Ok(Event::TableMap(map)) => drop(map.layout()),
                Ok(Event::Rows(rows)) => drop(rows.rows()),
                Ok(Event::Payload) => {
                    let mut payload = Payload::open(body);
                    while let Some(Some(Some(_))) = payload.as_mut().map(Payload::next) {}
                }
                _ => {}
            }
        }
        drop(decoder.open(&body));
    }

    #[test]
    fn noise_is_no_document(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0_u8..16) {
        let document: Vec<u8> = std::iter::once(kind).chain(bytes).collect();
        if let Some(text) = json_text(&document) {
            prop_assert!(text.len() <= json::MOST_PER_BYTE * document.len() + json::MOST_OF_ONE, "{text}");
        }
    }

    /// Offsets that are small, so that parts overlap and point at each other.
    #[test]
    fn tangled_documents_end(bytes in prop::collection::vec(prop_oneof![0_u8..8, 0_u8..64], 0..120), kind in 0_u8..4) {
        let document: Vec<u8> = std::iter::once(kind).chain(bytes).collect();
        if let Some(text) = json_text(&document) {
            prop_assert!(text.len() <= json::MOST_PER_BYTE * document.len() + json::MOST_OF_ONE, "{text}");
        }
    }

    #[test]
    fn noise_is_no_value(kind in any::<u8>(), meta in any::<u16>(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let column = table_map::LoggedColumn { kind, meta, nullable: true };
        if let Some(Raw::Decimal { bytes, digits, scale }) = raw_value(column, &mut Bytes(&bytes)) {
            drop(value::decimal_text(bytes, digits, scale));
        }
    }
}
