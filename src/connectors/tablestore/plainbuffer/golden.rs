//! The official encoders' rows, both ways.

use super::{Cell, Row, Rows, Sequence, Value, encode::Draft, tag};

pub fn bytes(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0);
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Of the notes' section 4.4, in their order.
pub const ROWS: [&str; 10] = [
    "750000000103040300000067696405090000000001000000000000000a2a030403000000756964050c0000000307000000757365722dc3a9\
     0a5103040300000062696e0507000000070200000000ff0ae809f6",
    "750000000103040300000067696405090000000001000000000000000a2a030403000000756964050c0000000307000000757365722dc3a9\
     0a5103040300000062696e0507000000070200000000ff0ae80203040100000069050900000000feffffffffffffff0a8003040100000064\
     050900000001000000000000f83f0aba03040100000062050200000002010a3e030401000000730509000000030400000068e4b8ad0aa503\
     0401000000780507000000070200000001020a47030404000000695f74730509000000000700000000000000077b68e5cf8b0100000aec09\
     8d",
    "7500000001030402000000706b05090000000001000000000000000a4c09a7",
    "7500000001030402000000706b05060000000301000000610ad403040300000073657105010000000b0a8b02030401000000630509000000\
     0001000000000000000ace0949",
    "7500000001030402000000706b05090000000001000000000000000a4c020304010000006105060000000301000000760a67030401000000\
     740509000000000500000000000000077b68e5cf8b0100000a54030401000000620603077b68e5cf8b0100000abe0304010000006306010a\
     cd0304010000006e050900000000030000000000000006040a11093f",
    "7500000001030402000000706b05090000000001000000000000000a4c0809a0",
    "75000000010304030000006769640501000000090a560304030000007569640501000000090a1d09e7",
    "750000000103040300000067696405010000000a0a5f03040300000075696405010000000a0a140960",
    "750000000103040300000067696405090000000007000000000000000a400304030000007569640501000000090a1d0938",
    "7500000001030402000000706b05090000000001000000000000000a4c0203040100000063050600000003010000007807e8030000000000\
     000a85098b01030402000000706b05090000000002000000000000000a790203040100000063050600000003010000007907d00700000000\
     00000a48030401000000640502000000020007d0070000000000000ad70992",
];

/// Of section 4.5: records of a stream.
pub const RECORDS: [&str; 3] = [
    "7500000001030402000000706b05090000000001000000000000000a4c02030401000000630506000000030100000078077b68e5cf8b0100\
     000ac30b180000000c130000000d000000000e40222018240a06000f0000000009ae",
    "7500000001030402000000706b05090000000001000000000000000a4c02030401000000630506000000030100000079077c68e5cf8b0100\
     000ac30304010000006406010aa6030401000000650603070068e5cf8b0100000a790b180000000c130000000d000000000e602420182\
     40a06000f0100000009e4",
    "7500000001030402000000706b05090000000001000000000000000a4c0b180000000c130000000d000000000e48282018240a06000f0000\
     000009a7",
];

const TIME: i64 = 1_700_000_000_123;

/// Writes rows again as they were read, several in one buffer, records with their sequence: what a service does.
pub fn again(rows: &[Row<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        let start = out.len();
        Draft { key: &row.key, cells: &row.cells, deleted: row.deleted }.write(&mut out);
        if let Some(sequence) = row.sequence {
            let end = out.split_off(out.len() - 2);
            out.extend_from_slice(&[tag::EXTENSION, 24, 0, 0, 0, tag::SEQUENCE, 19, 0, 0, 0, tag::EPOCH]);
            out.extend_from_slice(&sequence.epoch.to_le_bytes());
            out.push(tag::SEQUENCE_US);
            out.extend_from_slice(&sequence.timestamp_us.to_le_bytes());
            out.push(tag::ROW_INDEX);
            out.extend_from_slice(&sequence.row_index.to_le_bytes());
            out.extend_from_slice(&end);
        }
        if start > 0 {
            out.drain(start..start + 4);
        }
    }
    out
}

pub fn all(wire: &[u8]) -> Vec<Row<'_>> {
    Rows::read(wire).unwrap().collect::<Result<_, _>>().unwrap()
}

fn draft(key: &[Cell<'_>], cells: &[Cell<'_>], deleted: bool, wire: &str) {
    let wire = bytes(wire);
    let draft = Draft { key, cells, deleted };
    assert_eq!(draft.to_bytes(), wire);
    assert_eq!(draft.len(), wire.len());
    let row = Rows::one(&wire).unwrap();
    assert_eq!((&row.key[..], &row.cells[..], row.deleted, row.sequence), (key, cells, deleted, None));
}

#[test]
fn rows_are_written_and_read_as_the_official_encoders_do() {
    let put = Cell::put;
    let three = [put("gid", Value::Integer(1)), put("uid", Value::text("user-é")), put("bin", Value::Blob(&[0, 255]))];
    draft(&three, &[], false, ROWS[0]);
    let all_types = [
        put("i", Value::Integer(-2)),
        put("d", Value::Double(1.5)),
        put("b", Value::Boolean(true)),
        put("s", Value::text("h中")),
        put("x", Value::Blob(&[1, 2])),
        Cell::put_at("i_ts", Value::Integer(7), TIME),
    ];
    draft(&three, &all_types, false, ROWS[1]);
    let one = [put("pk", Value::Integer(1))];
    draft(&one, &[], false, ROWS[2]);
    let automatic = [put("pk", Value::text("a")), put("seq", Value::AutoIncrement)];
    draft(&automatic, &[put("c", Value::Integer(1))], false, ROWS[3]);
    let update = [
        put("a", Value::text("v")),
        Cell::put_at("t", Value::Integer(5), TIME),
        Cell::delete_one("b", TIME),
        Cell::delete_all("c"),
        Cell::increment("n", 3),
    ];
    draft(&one, &update, false, ROWS[4]);
    draft(&one, &[], true, ROWS[5]);
    for (bound, wire) in [(Value::InfMin, ROWS[6]), (Value::InfMax, ROWS[7])] {
        draft(&[put("gid", bound), put("uid", bound)], &[], false, wire);
    }
    draft(&[put("gid", Value::Integer(7)), put("uid", Value::InfMin)], &[], false, ROWS[8]);
}

#[test]
fn an_answer_holds_several_rows() {
    let wire = bytes(ROWS[9]);
    let rows = all(&wire);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].cells, [Cell::put_at("c", Value::text("x"), 1000)]);
    assert_eq!(rows[1].key, [Cell::put("pk", Value::Integer(2))]);
    assert_eq!(rows[1].cells[1], Cell::put_at("d", Value::Boolean(false), 2000));
    assert_eq!(again(&rows), wire);
    assert_eq!(all(&[]), []);
}

#[test]
fn a_record_has_a_sequence() {
    let us = 1_700_000_000_000_000;
    let sequences = [(us + 123_456, 0), (us + 124_000, 1), (us + 125_000, 0)];
    for (wire, (timestamp_us, row_index)) in RECORDS.into_iter().zip(sequences) {
        let wire = bytes(wire);
        let row = Rows::one(&wire).unwrap();
        assert_eq!(row.sequence, Some(Sequence { epoch: 0, timestamp_us, row_index }));
        assert_eq!(again(&[row]), wire);
    }
    let update = bytes(RECORDS[1]);
    let cells = Rows::one(&update).unwrap().cells;
    let told = [
        Cell::put_at("c", Value::text("y"), TIME + 1),
        Cell::delete_all("d"),
        Cell::delete_one("e", 1_700_000_000_000),
    ];
    assert_eq!(cells, told);
}

#[test]
fn zeros_behind_the_last_row_mean_nothing() {
    for wire in ROWS.into_iter().chain(RECORDS) {
        let mut wire = bytes(wire);
        let rows = all(&wire).len();
        wire.extend_from_slice(&[0; 27]);
        assert_eq!(all(&wire).len(), rows);
        wire.push(1);
        assert!(Rows::read(&wire).unwrap().any(|row| row.is_err()));
    }
}

#[test]
fn any_byte_that_is_changed_is_noticed() {
    for wire in ROWS.into_iter().chain(RECORDS) {
        let whole = bytes(wire);
        // What follows the rows' cells is in no checksum.
        let summed = whole.windows(5).position(|part| part == [tag::EXTENSION, 24, 0, 0, 0]).unwrap_or(whole.len());
        for at in 0..summed {
            for bit in 0..8 {
                let mut spoiled = whole.clone();
                spoiled[at] ^= 1 << bit;
                let read = Rows::read(&spoiled).and_then(|rows| rows.collect::<Result<Vec<_>, _>>());
                assert!(read.is_err(), "byte {at}, bit {bit} of {wire}");
            }
        }
    }
}

#[test]
fn cells_of_no_documented_form_have_no_act() {
    let odd = Cell { name: "a", value: None, op: None, timestamp_ms: None };
    assert!(odd.act().is_err());
    assert!(Cell { op: Some(super::Op::DeleteOne), ..odd }.act().is_err());
    assert!(Cell::increment("a", 1).act().is_ok());
}
