//! The tables and rows of the battery: plain enough for every store, with what tends to go wrong in them.

use super::fixture::Write;
use crate::model::{Action, Column, Equality, ForeignKey, JobId, Table, TableName, Type, Unique, Value};
use uuid::Uuid;

/// The job that the battery runs as, and another one beside it.
pub const JOB: JobId = JobId(Uuid::from_u128(0xce27_1f1e_0000_7000_8000_0000_0000_0001));
pub const OTHER_JOB: JobId = JobId(Uuid::from_u128(0xce27_1f1e_0000_7000_8000_0000_0000_0002));

/// `plain.note`, large now and then; stores that keep large values apart do it with this one.
pub const NOTE: usize = 2;
pub const SIZE: usize = 3;

fn column(name: &str, kind: Type, nullable: bool) -> Column {
    Column { nullable, ..Column::new(name, kind) }
}

fn table(schema: &str, name: &str, columns: Vec<Column>, key: Vec<usize>) -> Table {
    Table::new(TableName::new(schema, format!("certify_{name}")), columns, key)
}

/// `id | name | note | size`
pub fn plain(schema: &str) -> Table {
    let columns = vec![
        column("id", Type::Int, false),
        column("name", Type::Text, true),
        column("note", Type::Text, true),
        column("size", Type::Int, true),
    ];
    table(schema, "plain", columns, vec![0])
}

pub fn plain_row(id: i64, word: &str) -> Vec<Value> {
    let note = match id.rem_euclid(3) {
        0 => Value::Null,
        1 => Value::Text(word.repeat(400)),
        _ => Value::Text(format!("it's {word}, «ünï»\n")),
    };
    vec![Value::Int(id), Value::Text(word.to_owned()), note, Value::Int(id * 7)]
}

/// `v | b | a`, with the key (a, b): neither first nor in the order of the columns.
pub fn double(schema: &str) -> Table {
    let columns = vec![column("v", Type::Text, true), column("b", Type::Int, false), column("a", Type::Text, false)];
    table(schema, "double", columns, vec![2, 1])
}

pub fn double_row(a: &str, b: i64, v: &str) -> Vec<Value> {
    vec![Value::Text(v.to_owned()), Value::Int(b), Value::Text(a.to_owned())]
}

/// `word | v`, with a key whose case may not count.
pub fn spelled(schema: &str) -> Table {
    let word = Column { equality: Equality::Coarse, ..column("word", Type::Text, false) };
    table(schema, "spelled", vec![word, column("v", Type::Int, true)], vec![0])
}

/// `id | mail | v`, with a unique index over `mail`.
pub fn unique(schema: &str) -> Table {
    let columns = vec![column("id", Type::Int, false), column("mail", Type::Text, true), column("v", Type::Text, true)];
    let mut unique = table(schema, "unique", columns, vec![0]);
    unique.uniques = vec![Unique { name: "certify_unique_mail".into(), columns: vec![1], definition: None }];
    unique
}

pub fn unique_row(id: i64, mail: Option<&str>, v: &str) -> Vec<Value> {
    vec![Value::Int(id), mail.map_or(Value::Null, |mail| Value::Text(mail.to_owned())), Value::Text(v.to_owned())]
}

/// `x | y`, without a key.
pub fn loose(schema: &str) -> Table {
    table(schema, "loose", vec![column("x", Type::Int, true), column("y", Type::Text, true)], Vec::new())
}

pub fn loose_row(x: i64, y: Option<&str>) -> Vec<Value> {
    vec![Value::Int(x), y.map_or(Value::Null, |y| Value::Text(y.to_owned()))]
}

/// `id | parent`, which points to `plain` and goes with it.
pub fn child(schema: &str) -> Table {
    let mut child =
        table(schema, "child", vec![column("id", Type::Int, false), column("parent", Type::Int, true)], vec![0]);
    child.foreign_keys = vec![ForeignKey {
        columns: vec![1],
        parent: plain(schema).name,
        parent_columns: vec!["id".into()],
        on_delete: Action::Cascade,
        on_update: Action::Cascade,
    }];
    child
}

/// Names that break statements which are glued together.
pub fn odd(schema: &str) -> Table {
    let columns = vec![column("select", Type::Int, false), column("a \"b\" 'c' `d`", Type::Text, true)];
    let mut odd = table(schema, "odd", columns, vec![0]);
    odd.name.name = "certify odd \"name\" 'of' a.table; --".into();
    odd
}

/// The key columns' values of a row.
pub fn key_of(table: &Table, row: &[Value]) -> Vec<Value> {
    table.key.iter().map(|&column| row[column].clone()).collect()
}

/// Transaction number `n` of an application that never rests.
pub fn busy(plain: &TableName, n: i64) -> Vec<Write> {
    let id = |id: i64| vec![Value::Int(id)];
    match n % 5 {
        0 => vec![Write::insert(plain, plain_row(n, "busy")), Write::insert(plain, plain_row(n + 1, "busy"))],
        1 => vec![Write::update(plain, id(n - 1), vec![(SIZE, Value::Int(-n))])],
        2 => vec![Write::update(plain, id(n - 2), vec![(0, Value::Int(100_000 + n))])],
        3 => vec![Write::delete(plain, id(n - 12)), Write::update(plain, id(n - 7), vec![(NOTE, Value::Null)])],
        _ => vec![Write::update(plain, id(100_000 + n - 7), vec![(0, Value::Int(n - 7))])],
    }
}

/// Transactions of an application on `plain`, `double` and `unique`: key moves and back, keys used
/// again, equal content, values swapped, several tables at once, and one that is larger than any batch should be.
pub fn story(plain: &TableName, double: &TableName, unique: &TableName) -> Vec<Vec<Write>> {
    let id = |id: i64| vec![Value::Int(id)];
    let text = |text: &str| Value::Text(text.to_owned());
    let mut story = vec![
        (1..=9).map(|n| Write::insert(plain, plain_row(n, "first"))).collect(),
        vec![Write::update(plain, id(4), vec![(SIZE, Value::Int(-1))])],
        vec![Write::update(plain, id(4), vec![(NOTE, Value::Null)])],
        vec![
            Write::update(plain, id(1), vec![(0, Value::Int(100))]),
            Write::update(plain, id(2), vec![(0, Value::Int(1)), (SIZE, Value::Null)]),
        ],
        vec![Write::delete(plain, id(3))],
        vec![Write::insert(plain, plain_row(3, "first"))],
        vec![Write::update(plain, id(100), vec![(0, Value::Int(2))])],
        vec![
            Write::delete(plain, id(5)),
            Write::insert(plain, plain_row(5, "again")),
            Write::update(plain, id(5), vec![(SIZE, Value::Int(55))]),
            Write::delete(plain, id(6)),
        ],
        vec![
            Write::insert(double, double_row("k", 1, "x")),
            Write::insert(plain, plain_row(10, "both")),
            Write::insert(double, double_row("k", 2, "y")),
            Write::insert(double, double_row("é", 1, "")),
        ],
        vec![Write::update(double, vec![text("k"), Value::Int(1)], vec![(2, text("K"))])],
        vec![Write::update(double, vec![text("k"), Value::Int(2)], vec![(0, Value::Null), (1, Value::Int(-2))])],
    ];
    story.push(vec![
        Write::insert(unique, unique_row(1, Some("a"), "one")),
        Write::insert(unique, unique_row(2, Some("b"), "two")),
        Write::insert(unique, unique_row(3, None, "three")),
        Write::insert(unique, unique_row(4, None, "four")),
    ]);
    story.push(vec![
        Write::update(unique, id(1), vec![(1, text("t"))]),
        Write::update(unique, id(2), vec![(1, text("a"))]),
        Write::update(unique, id(1), vec![(1, text("b"))]),
    ]);
    story.push(vec![Write::delete(unique, id(2)), Write::insert(unique, unique_row(5, Some("a"), "five"))]);
    let large = |n: i64| match n % 5 {
        4 => Write::delete(plain, id(1000 + n - 4)),
        _ => Write::insert(plain, plain_row(1000 + n, "large")),
    };
    story.push((0..60).map(large).collect());
    story.push(vec![Write::delete(plain, id(9))]);
    story
}
