//! Bytes that are on users' disks for ever: row encoding, keys, positions. A red test here is a broken promise.
//!
//! Where a new version is wanted: keep these files, add others beside them.

use std::{fmt::Write, fs};
use whimbrel::model::{
    COARSE_HASH_VERSION, Cell, Change, Column, Criterion, Date, ENCODING_VERSION, Equality, Field, Interval, Key,
    KeyRange, Operator, Position, RowRef, Rows, Stamp, Table, TableName, Type, Value, ValueRef, coarse_hash,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

/// Holds `text` against the file; `WHIMBREL_GOLDEN=write` makes files that are not there yet, and never changes one.
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/data/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("WHIMBREL_GOLDEN").is_ok_and(|value| value == "write") && fs::metadata(&path).is_err() {
        fs::write(&path, text).expect("the data folder is ours");
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(text, kept, "{name} has changed: what is on users' disks can no longer be read");
}

/// One value of each kind, with the corners of each.
fn values() -> Vec<Value> {
    let day = Date { year: 2026, month: 2, day: 28 };
    vec![
        Value::Null,
        Value::Bool(false),
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Int(-1),
        Value::Unsigned(u64::MAX),
        Value::Float32(0.1),
        Value::Float64(f64::NEG_INFINITY),
        Value::Float64(-0.0),
        Value::Decimal("-0.00100".into()),
        Value::Decimal("NaN".into()),
        Value::Text(String::new()),
        Value::Text("grüße 你好 \u{0}".into()),
        Value::Bytes(vec![0, 255]),
        Value::Date(day),
        Value::Date(Date { year: 0, month: 0, day: 0 }),
        Value::Date(Date { year: -43, month: 3, day: 15 }),
        Value::Date(Date::INFINITY),
        Value::Time(-3_020_399_000_000_000),
        Value::DateTime(day, 86_399_999_999_999),
        Value::Instant(-1, 999_999_999),
        Value::Instant(i64::MAX, 0),
        Value::Interval(Interval { months: -1, days: 31, nanos: 1 }),
        Value::Uuid(*b"0123456789abcdef"),
        Value::Json("{\"a\": 1.0}".into()),
        Value::List(vec![Value::Int(1), Value::Null, Value::List(vec![Value::Text("x".into())])]),
        Value::Map(vec![(Value::Text("k".into()), Value::Bool(true))]),
        Value::Native("geometry".into(), vec![1, 2, 3]),
    ]
}

#[test]
fn every_kind_of_value() {
    let mut text = format!("encoding version {ENCODING_VERSION}\n");
    let mut rows = Rows::default();
    for value in values() {
        let place = rows.add_row(&[Some(value.clone())]);
        let row = rows.row(place);
        assert_eq!(row.get(0).value().map(ValueRef::to_owned), Some(value.clone()), "there and back");
        assert!(RowRef::checked(row.bytes()).is_some(), "believed: {value:?}");
        writeln!(text, "{value:?} = {}", hex(row.bytes())).expect("a string takes it");
    }
    golden("values-v1.txt", &text);
}

#[test]
fn rows_with_every_state_of_a_field() {
    let mut rows = Rows::default();
    let mut row = rows.build();
    row.value(ValueRef::Int(7)).unset().removed().value(ValueRef::Null);
    let place = row.finish();
    let criteria = rows.add_criteria(&[
        Criterion { column: 3, operator: Operator::Equal, value: Value::Int(1) },
        Criterion { column: 0, operator: Operator::GreaterOrEqual, value: Value::Text("a".into()) },
    ]);
    let text = format!("row {}\ncriteria {}\n", hex(rows.row(place).bytes()), hex(rows.row(criteria).bytes()));
    let numbers: Vec<u8> = [
        Change::Upsert,
        Change::Patch,
        Change::Delete,
        Change::Touched,
        Change::Matching,
        Change::Truncate,
        Change::Reshape,
        Change::Recopy,
    ]
    .map(|change| change as u8)
    .to_vec();
    golden("row-v1.txt", &format!("{text}changes {}\n", hex(&numbers)));
}

#[test]
fn wide_rows() {
    let mut rows = Rows::default();
    let mut row = rows.build();
    row.value(ValueRef::Int(7)).unset();
    row.stamps(&[Stamp::default(), Stamp { written: Some(1_700_000_000_123_000), expires: Some(1_800_000_000) }]);
    let value = Field::Value(ValueRef::Text("ü"));
    for (name, field, written, one_version) in
        [("a", value, Some(-1), false), ("a", Field::Removed, Some(2), true), ("ß", Field::Removed, None, false)]
    {
        row.cell(Cell { name, field, stamp: Stamp { written, expires: None }, one_version });
    }
    let place = row.finish();
    golden("wide-v1.txt", &format!("row {}\nmerge {:02x}\n", hex(rows.row(place).bytes()), Change::Merge as u8));
}

#[test]
fn keys_and_positions() {
    let key = Key::from_values([ValueRef::Int(7), ValueRef::Text("a")]);
    let table = TableName::new("main", "a.b");
    let range = KeyRange { after: Some(key.clone()), upto: None };
    let position = Position::new(b"point", 3);
    let copy = range.position(2, &table, Some(&key));
    let text = format!(
        "key {}\nposition {}\ncopy position {}\ntable name {table}\n",
        hex(key.bytes()),
        hex(position.bytes()),
        hex(copy.bytes())
    );
    golden("positions-v1.txt", &text);
}

#[test]
fn the_coarse_hash_that_split_torn_batches() {
    let mut column = Column::new("k", Type::Any);
    let mut text = format!("hash version {COARSE_HASH_VERSION}\n");
    for equality in [Equality::Exact, Equality::Coarse] {
        column.equality = equality;
        let table = Table::new(TableName::new("main", "t"), vec![column.clone()], vec![0]);
        let mut rows = Rows::default();
        for value in values() {
            let place = rows.add_row(&[Some(value.clone())]);
            let hash = coarse_hash(COARSE_HASH_VERSION, &table, rows.row(place));
            writeln!(text, "{equality:?} {value:?} = {hash:x?}").expect("a string takes it");
        }
    }
    golden("coarse-hash-v1.txt", &text);
}
