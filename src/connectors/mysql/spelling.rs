//! How a fixture's application spells tables and values in SQL, and reads what the server prints. Knows nothing of how the
//! connector reads them.

use super::{
    server::{Family, Server},
    text::{hex, quote},
};
use crate::model::{Action, Column, Date, Equality, Table, Type, Value};

/// A column's type; text that an index holds has a length.
pub(super) fn declared(column: &Column, indexed: bool) -> String {
    if !column.declared.is_empty() {
        return column.declared.clone();
    }
    match column.kind {
        Type::Int => "BIGINT",
        Type::Unsigned => "BIGINT UNSIGNED",
        Type::Float32 => "FLOAT",
        Type::Float64 => "DOUBLE",
        Type::Decimal => "DECIMAL(65,30)",
        Type::Bytes if indexed => "VARBINARY(100)",
        Type::Bytes => "LONGBLOB",
        Type::Date => "DATE",
        Type::Time => "TIME(6)",
        Type::DateTime => "DATETIME(6)",
        Type::Instant => "TIMESTAMP(6)",
        _ if indexed => "VARCHAR(100)",
        _ => "LONGTEXT",
    }
    .to_owned()
}

pub(super) fn definition(table: &Table, server: &Server) -> String {
    // 'a' and 'a ' are two values, as in the model; before MySQL 8.0.17 no collation of text told them apart.
    let exact = match server.at_least(Family::Mysql, (8, 0, 17)) {
        _ if server.is_mariadb() => "utf8mb4_nopad_bin",
        true => "utf8mb4_0900_bin",
        false => "utf8mb4_bin",
    };
    let list = |columns: &[usize]| {
        columns.iter().map(|&column| quote(&table.columns[column].name)).collect::<Vec<_>>().join(", ")
    };
    let indexed =
        |at: usize| table.key.contains(&at) || table.uniques.iter().any(|unique| unique.columns.contains(&at));
    let column = |(at, column): (usize, &Column)| {
        let collation = match column.equality {
            _ if column.kind != Type::Text || !column.declared.is_empty() => String::new(),
            Equality::Coarse | Equality::Tailored => " CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci".to_owned(),
            Equality::Exact => format!(" CHARACTER SET utf8mb4 COLLATE {exact}"),
        };
        let null = if column.nullable { "NULL" } else { "NOT NULL" };
        format!("{} {}{collation} {null}", quote(&column.name), declared(column, indexed(at)))
    };
    let mut parts: Vec<String> = table.columns.iter().enumerate().map(column).collect();
    if !table.is_keyless() {
        parts.push(format!("PRIMARY KEY ({})", list(&table.key)));
    }
    for unique in &table.uniques {
        parts.push(format!("UNIQUE KEY {} ({})", quote(&unique.name), list(&unique.columns)));
    }
    for foreign in &table.foreign_keys {
        let cascade = if foreign.on_delete == Action::Cascade { "ON DELETE CASCADE ON UPDATE CASCADE" } else { "" };
        let parent = quote(&foreign.parent.name);
        parts.push(format!("FOREIGN KEY ({}) REFERENCES {parent} (`id`) {cascade}", list(&foreign.columns)));
    }
    format!("CREATE TABLE {} ({}) ENGINE = InnoDB", quote(&table.name.name), parts.join(", "))
}

/// A value as SQL.
pub(super) fn quoted(value: &Value) -> String {
    let day = |date: &Date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
    let clock = |nanos: u64| {
        let (seconds, micros) = (nanos / 1_000_000_000, nanos / 1_000 % 1_000_000);
        format!("{:02}:{:02}:{:02}.{micros:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    };
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(truth) => u8::from(*truth).to_string(),
        Value::Int(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float32(number) => format!("{:e}", f64::from(*number)),
        Value::Float64(number) => format!("{number:e}"),
        Value::Decimal(text) => text.clone(),
        Value::Text(text) | Value::Json(text) => super::text::literal(text),
        Value::Bytes(bytes) => format!("x'{}'", hex(bytes)),
        Value::Date(date) => format!("'{}'", day(date)),
        Value::DateTime(date, nanos) => format!("'{} {}'", day(date), clock(nanos.unsigned_abs())),
        Value::Time(nanos) => format!("'{}{}'", if *nanos < 0 { "-" } else { "" }, clock(nanos.unsigned_abs())),
        Value::Instant(seconds, nanos) => format!("FROM_UNIXTIME({seconds}.{:06})", nanos / 1_000),
        Value::Uuid(bytes) => format!("'{}'", uuid::Uuid::from_bytes(*bytes)),
        Value::Native(kind, _) if kind == "timestamp" => "'0000-00-00 00:00:00'".into(),
        Value::Native(_, bytes) => format!("x'{}'", hex(bytes)),
        Value::Interval(_) | Value::List(_) | Value::Map(_) => unreachable!("the fixture has no such kind"),
    }
}

/// How a column is asked for, so that `read` understands the answer.
pub(super) fn asked(name: &str, declared: &str) -> String {
    match base(declared) {
        "float" => format!("{name} + 0e0"),
        "bit" | "year" => format!("{name} + 0"),
        "timestamp" => format!("IF({name} = 0, 'zero', UNIX_TIMESTAMP({name}) + 0.000000)"),
        "datetime" => format!("CAST({name} AS DATETIME(6))"),
        "time" => format!("CAST({name} AS TIME(6))"),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "json" => {
            format!("HEX(CONVERT({name} USING utf8mb4))")
        }
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "point" | "geometry" => {
            format!("HEX({name})")
        }
        _ => name.to_owned(),
    }
}

/// What the server printed for a column of this type.
pub(super) fn read(declared: &str, text: &str) -> Option<Value> {
    let bytes = || {
        let pairs = text.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect::<Option<Vec<u8>>>()
    };
    Some(match base(declared) {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" if declared.contains("unsigned") => {
            Value::Unsigned(text.parse().ok()?)
        }
        "bit" => Value::Unsigned(text.parse().ok()?),
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Value::Int(text.parse().ok()?),
        "float" => Value::Float32(text.parse::<f64>().ok()? as f32),
        "double" => Value::Float64(text.parse().ok()?),
        "decimal" => Value::Decimal(text.to_owned()),
        "date" => Value::Date(date(text)?),
        "datetime" => {
            let (day, clock) = text.split_once(' ')?;
            Value::DateTime(date(day)?, nanos(clock)?)
        }
        "time" => match text.strip_prefix('-') {
            Some(text) => Value::Time(-nanos(text)?),
            None => Value::Time(nanos(text)?),
        },
        "timestamp" if text == "zero" => Value::Native("timestamp".into(), vec![0]),
        "timestamp" => {
            let (seconds, micros) = text.split_once('.')?;
            Value::Instant(seconds.parse().ok()?, micros.get(..6)?.parse::<u32>().ok()? * 1_000)
        }
        "uuid" => Value::Uuid(uuid::Uuid::parse_str(text).ok()?.into_bytes()),
        "inet6" | "inet4" => Value::Text(text.to_owned()),
        "json" => Value::Json(String::from_utf8(bytes()?).ok()?),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Value::Bytes(bytes()?),
        "point" | "geometry" => Value::Native("geometry".into(), bytes()?),
        _ => Value::Text(String::from_utf8(bytes()?).ok()?),
    })
}

fn base(declared: &str) -> &str {
    declared.split(['(', ' ']).next().unwrap_or_default()
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let mut next = || parts.next();
    Some(Date { year: next()?.parse().ok()?, month: next()?.parse().ok()?, day: next()?.parse().ok()? })
}

fn nanos(text: &str) -> Option<i64> {
    let (clock, micros) = text.split_once('.')?;
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let mut next = || parts.next()?.ok();
    Some(((next()? * 60 + next()?) * 60 + next()?) * 1_000_000_000 + micros.parse::<i64>().ok()? * 1_000)
}

/// Kinds that both families have.
pub(super) fn kinds() -> Vec<(Column, Vec<Value>)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let date = |year, month, day| Date { year, month, day };
    let kind = |kind, declared: &str, values: Vec<Value>| {
        (Column { declared: declared.into(), ..Column::new("v", kind) }, values)
    };
    let texts = || vec![text(""), text("é😀"), text("with\0zero"), text(" 1 "), text(&"long".repeat(50_000))];
    let micros = |micros: i64| micros * 1_000;
    vec![
        kind(Type::Int, "bigint", [i64::MIN, -1, 0, 1, i64::MAX].map(Value::Int).into()),
        kind(Type::Int, "tinyint(1)", [-128, 0, 1, 127].map(Value::Int).into()),
        kind(Type::Int, "mediumint", [-8_388_608, 8_388_607].map(Value::Int).into()),
        kind(Type::Unsigned, "bigint unsigned", [0, u64::MAX].map(Value::Unsigned).into()),
        kind(Type::Unsigned, "bit(33)", [0, 1, (1 << 33) - 1].map(Value::Unsigned).into()),
        kind(Type::Int, "year", [0, 1901, 2155].map(Value::Int).into()),
        kind(Type::Float32, "float", [0.1, -16_777.217, f32::MIN_POSITIVE].map(Value::Float32).into()),
        kind(Type::Float64, "double", [0.1, f64::MAX, f64::MIN_POSITIVE, -1e-300].map(Value::Float64).into()),
        kind(
            Type::Decimal,
            "decimal(20,3)",
            ["-12345678901234567.890", "0.000"].map(|d| Value::Decimal(d.into())).into(),
        ),
        kind(Type::Date, "date", [date(0, 0, 0), date(2020, 0, 0), date(9999, 12, 31)].map(Value::Date).into()),
        kind(
            Type::DateTime,
            "datetime(6)",
            vec![
                Value::DateTime(date(0, 0, 0), 0),
                Value::DateTime(date(1000, 1, 1), micros(1)),
                Value::DateTime(date(9999, 12, 31), micros(86_399_999_999)),
            ],
        ),
        kind(
            Type::Time,
            "time(6)",
            [-micros(3_020_399_000_000), -micros(1), 0, micros(3_020_398_999_999)].map(Value::Time).into(),
        ),
        kind(
            Type::Instant,
            "timestamp(6) NULL",
            vec![
                Value::Instant(1, 0),
                Value::Instant(1_729_989_000, 1_000),
                Value::Native("timestamp".into(), vec![0]),
            ],
        ),
        kind(Type::Text, "longtext CHARACTER SET utf8mb4", texts()),
        kind(Type::Text, "varchar(100) CHARACTER SET latin1", vec![text("äöü€ "), text("")]),
        kind(Type::Text, "varchar(100) CHARACTER SET utf16", vec![text("中😀"), text("")]),
        kind(Type::Text, "enum('z','','é''x')", vec![text("z"), text(""), text("é'x")]),
        kind(Type::Text, "set('z','y','é')", vec![text(""), text("z,é"), text("z,y,é")]),
        kind(Type::Bytes, "binary(4)", vec![Value::Bytes(vec![1, 0, 0, 0]), Value::Bytes(vec![0; 4])]),
        kind(
            Type::Bytes,
            "longblob",
            vec![Value::Bytes(Vec::new()), Value::Bytes((0..=255).collect()), Value::Bytes(vec![7; 2_000_000])],
        ),
    ]
}
