//! The table of types: every type of the server, written by its own client, read by copy and by key, and held against
//! what its own client says.

use super::reading::{copied, fetched, source, table};
use crate::support::mysql::{Kind, Server};
use std::fmt::Write;
use whimbrel::model::{Date, Key, KeyRange, Value, ValueRef};

/// A column type, how the client is asked for a value in words that `shown` speaks too, and values as SQL.
type Case = (&'static str, &'static str, &'static [&'static str]);

const TEXT: &str = "HEX(CONVERT(v USING utf8mb4))";
const PLAIN: &str = "v";
const NUMBER: &str = "v + 0e0";
const MOMENT: &str = "CAST(v AS DATETIME(6))";
const CLOCK: &str = "CAST(v AS TIME(6))";
const SECONDS: &str = "IF(v = 0, 'zero', UNIX_TIMESTAMP(v) + 0.000000)";

/// Every type of a server.
pub fn of(kind: Kind) -> Vec<Case> {
    let is_mariadbs =
        |declared: &str| declared.contains("COMPRESSED") || ["uuid", "inet6", "inet4", "json"].contains(&declared);
    let shared = MARIADB.iter().filter(|(declared, ..)| kind == Kind::Mariadb || !is_mariadbs(declared)).copied();
    let own: &[Case] = if kind == Kind::Mysql { MYSQL } else { &[] };
    shared.chain(own.iter().copied()).collect()
}

/// Of MySQL 9 alone.
const MYSQL: &[Case] = &[
    ("vector(3)", "HEX(v)", &["STRING_TO_VECTOR('[1,2.5,-3e-5]')"]),
    ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_ja_0900_as_cs_ks", TEXT, &["'日本 '", "'か'", "''"]),
    ("varchar(20) CHARACTER SET gb18030", "HEX(v)", &["'中文😀'"]),
    ("geomcollection", "HEX(v)", &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"]),
    (
        "json",
        TEXT,
        &[
            "'null'",
            "'true'",
            "'false'",
            "'[]'",
            "'{}'",
            "'\"\"'",
            "'[-1, 0, 1, 32767, -32768, 32768, 65535, 65536, -2147483648, 2147483648, 4294967295, 4294967296]'",
            "'[9223372036854775807, -9223372036854775808, 18446744073709551615, 1e2, 100000000000000000000]'",
            "'[0.0, -0.0, 1.0, 0.1, -12.5, 1e14, 1e15, 1e16, 123456789012345678, 1.5e300, 1e-5, 1e-14, 1e-15, 1e-16, 2.5e-300]'",
            "'[1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 16777.217, 0.30000000000000004]'",
            "'[123456789012345.6, 12345678901234.567, 0.000012345, 9007199254740993.0, 1e22, 1e23]'",
            "'{\"zz\": 1, \"b\": {\"y\": [1, {\"x\": null}], \"a\": true}, \"\": \"empty\", \"é😀\": \"ü\"}'",
            "'{\"a\": 1, \"a\": 2}'",
            r#"'["\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\\u007f\\u00e9\\u2028"]'"#,
            "JSON_ARRAY(1.50, -0.001, CAST('12345678901234567890.123' AS DECIMAL(40,20)), 0.0)",
            "JSON_ARRAY(CAST('2020-02-29' AS DATE), CAST('2020-02-29 23:59:59.000001' AS DATETIME(6)))",
            "JSON_ARRAY(CAST('-838:59:59' AS TIME), CAST('00:00:00.5' AS TIME(1)), TIMESTAMP'2001-01-01 00:00:00')",
            "JSON_ARRAY(x'00ff10', REPEAT(x'ab', 200), b'101', CAST('x' AS BINARY(3)))",
            "JSON_OBJECT('point', ST_GeomFromText('POINT(1.5 2)'), 'year', CAST(2020 AS YEAR))",
            "JSON_OBJECT('long', REPEAT('0123456789', 9000), 'short', 1)",
            "CONCAT('[', REPEAT('100000, -1, true, ', 9000), '4000000000]')",
            "CONCAT('{', REPEAT('\"k\": [1, \"text\"], ', 5), '\"', REPEAT('k', 300), '\": 2}')",
            "CONCAT(REPEAT('[', 99), REPEAT(']', 99))",
        ],
    ),
];

pub const MARIADB: &[Case] = &[
    ("tinyint", PLAIN, &["-128", "0", "127"]),
    ("tinyint(1)", PLAIN, &["0", "1", "-7"]),
    ("tinyint unsigned", PLAIN, &["0", "255"]),
    ("smallint", PLAIN, &["-32768", "32767"]),
    ("smallint unsigned", PLAIN, &["65535"]),
    ("mediumint", PLAIN, &["-8388608", "8388607"]),
    ("mediumint unsigned", PLAIN, &["16777215"]),
    ("int", PLAIN, &["-2147483648", "2147483647"]),
    ("int unsigned", PLAIN, &["4294967295"]),
    ("int(9) unsigned zerofill", "v + 0", &["7"]),
    ("bigint", PLAIN, &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", PLAIN, &["18446744073709551615", "0"]),
    ("decimal(65,30)", PLAIN, &["-12345678901234567890123456789012345.123456789012345678901234567890", "0", "1.5"]),
    ("decimal(10,2) unsigned zerofill", "CAST(v AS DECIMAL(10,2))", &["12.5", "0"]),
    ("decimal(5,0)", PLAIN, &["-99999"]),
    ("decimal(4,4)", PLAIN, &["0.0001", "-0.5"]),
    ("float", NUMBER, &["0.1", "16777.217", "-3.4e38", "1.17549e-38", "0"]),
    ("float(7,4)", NUMBER, &["999.0001"]),
    ("double", PLAIN, &["0.1", "1.7976931348623157e308", "-2.2250738585072014e-308", "123456789.123456789"]),
    ("bit(1)", "v + 0", &["0", "1"]),
    ("bit(13)", "v + 0", &["0", "b'1000000000001'"]),
    ("bit(64)", "v + 0", &["18446744073709551615"]),
    ("year", "v + 0", &["1901", "2155", "0"]),
    ("date", PLAIN, &["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2020-00-00'", "'2020-02-00'", "'2023-02-31'"]),
    (
        "datetime",
        MOMENT,
        &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'0000-00-00 00:00:00'", "'2020-00-07 10:11:12'"],
    ),
    ("datetime(3)", MOMENT, &["'2020-02-29 23:59:59.999'", "'2020-01-01 00:00:00.001'"]),
    ("datetime(6)", MOMENT, &["'1969-12-31 23:59:59.999999'", "'0000-00-00 00:00:00.000000'"]),
    (
        "timestamp NULL",
        SECONDS,
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'", "'2024-03-31 01:30:00'"],
    ),
    (
        "timestamp(6) NULL",
        SECONDS,
        &["'2024-10-27 01:30:00.000001'", "'2024-10-27 00:30:00.999999'", "'0000-00-00 00:00:00'"],
    ),
    ("time", CLOCK, &["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
    ("time(3)", CLOCK, &["'-00:00:00.001'", "'25:00:00.5'"]),
    ("time(6)", CLOCK, &["'-838:59:59.999999'", "'838:59:59.999999'"]),
    ("char(5)", TEXT, &["''", "'ab  '", "'é'"]),
    ("varchar(20) CHARACTER SET utf8mb4", TEXT, &["'é😀\\0x'", "'padded  '", "''"]),
    ("varchar(20) CHARACTER SET utf8mb3", TEXT, &["'é中'"]),
    ("varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", TEXT, &["'äöü€'", "_latin1 x'818d8f909d'"]),
    ("varchar(20) CHARACTER SET ascii", TEXT, &["'plain'"]),
    ("varchar(20) CHARACTER SET ucs2", TEXT, &["'a中'"]),
    ("varchar(20) CHARACTER SET utf16", TEXT, &["'a中😀'"]),
    ("varchar(20) CHARACTER SET utf16le", TEXT, &["'a中😀'"]),
    ("varchar(20) CHARACTER SET utf32", TEXT, &["'a中😀'"]),
    ("varchar(20) CHARACTER SET gbk", TEXT, &["'中文abc'"]),
    ("varchar(20) CHARACTER SET big5", TEXT, &["'中文'"]),
    ("varchar(20) CHARACTER SET sjis", TEXT, &["'日本'"]),
    ("varchar(20) CHARACTER SET cp932", TEXT, &["'日本'"]),
    ("varchar(20) CHARACTER SET euckr", TEXT, &["'한국'"]),
    ("varchar(20) CHARACTER SET ujis", TEXT, &["'日本'"]),
    ("varchar(20) CHARACTER SET cp1251", TEXT, &["'Привет'"]),
    ("varchar(20) CHARACTER SET koi8r", TEXT, &["'Привет'"]),
    ("varchar(20) CHARACTER SET swe7", "HEX(v)", &["'abc'"]),
    ("varchar(20) CHARACTER SET latin2", TEXT, &["'żółw'"]),
    ("varchar(20) CHARACTER SET cp850", TEXT, &["'é'"]),
    ("tinytext", TEXT, &["REPEAT('x', 255)"]),
    ("text", TEXT, &["REPEAT('é', 30000)"]),
    ("mediumtext", TEXT, &["REPEAT('x', 70000)"]),
    ("longtext", TEXT, &["REPEAT('😀', 300000)"]),
    ("text COMPRESSED", TEXT, &["REPEAT('compressed ', 1000)", "''"]),
    ("binary(4)", "HEX(v)", &["x'01020000'", "''"]),
    ("varbinary(10)", "HEX(v)", &["x'00ff0000'", "''"]),
    ("tinyblob", "HEX(v)", &["x'00'"]),
    ("blob", "HEX(v)", &["REPEAT(x'ff', 65535)"]),
    ("mediumblob", "HEX(v)", &["REPEAT(x'00', 70000)"]),
    ("longblob", "HEX(v)", &["REPEAT(x'ab', 1200000)"]),
    (
        "enum('z','a''b','','é')",
        "IF(v + 0 = 0, '0:', HEX(CONVERT(v USING utf8mb4)))",
        &["'z'", "'a''b'", "''", "'é'", "0"],
    ),
    ("set('x','y z','é')", TEXT, &["''", "'x'", "'x,é'", "'x,y z,é'"]),
    ("json", TEXT, &["'{\"a\": 1.0, \"a\": [null]}'"]),
    (
        "uuid",
        "HEX(CAST(v AS CHAR))",
        &["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'"],
    ),
    ("inet6", "HEX(CAST(v AS CHAR))", &["'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.1'"]),
    ("inet4", "HEX(CAST(v AS CHAR))", &["'192.0.2.1'"]),
    ("point", "HEX(v)", &["ST_GeomFromText('POINT(1 2)', 4326)"]),
    ("geometry", "HEX(v)", &["ST_GeomFromText('LINESTRING(0 0,1 1,2 3)')"]),
];

#[tokio::test]
pub async fn every_type_is_read_as_it_is() {
    for kind in [Kind::Mariadb, Kind::Mysql, Kind::Mysql56] {
        let server = Server::of(kind, &["--default-time-zone=+02:00", "--sql-mode="]);
        let cases = of(kind);
        let source = source(&server);
        let mut sql = String::from("SET time_zone = '+00:00';\n");
        for (number, (declared, _, values)) in cases.iter().enumerate() {
            writeln!(sql, "CREATE TABLE k{number} (id INT PRIMARY KEY, v {declared} DEFAULT NULL);").unwrap();
            for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
                writeln!(sql, "INSERT INTO k{number} VALUES ({id}, {value});").unwrap();
            }
        }
        server.sql(&sql);
        let mut problems = Vec::new();
        for (number, (declared, ask, values)) in cases.iter().enumerate() {
            let name = format!("k{number}");
            let ask = format!("SET time_zone = '+00:00'; SELECT COALESCE({ask}, 'NULL') FROM {name} ORDER BY id");
            let told = server.sql(&ask);
            let told: Vec<&str> = told.lines().collect();
            let shape = table(&*source, &name).await;
            let read = copied(&*source, &shape, &KeyRange::all()).await;
            let shown: Vec<String> = read.iter().map(|row| shown(&row[1])).collect();
            let told: Vec<String> = told.iter().map(|told| (*told).to_owned()).collect();
            for (shown, told) in shown.iter().zip(&told) {
                let is_float = declared.starts_with("float") || *declared == "double";
                if !same(shown, told, is_float) {
                    problems.push(format!("{kind:?}, {declared}: read {shown:.300}, the client says {told:.300}"));
                }
            }
            assert_eq!((shown.len(), told.len()), (values.len() + 1, values.len() + 1), "{declared}");
            let keys =
                (0..read.len()).map(|id| Key::from_values([ValueRef::Int(i64::try_from(id).unwrap())])).collect();
            let again: Vec<_> = fetched(&*source, &shape, keys).await.into_iter().map(Option::unwrap).collect();
            assert!(again == read, "{declared}: by key it is another value");
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

/// A floating-point number has more than one spelling; both are read as the nearest `f64`, which is exact.
fn same(shown: &str, told: &str, is_float: bool) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().filter(|_| is_float);
    shown == told || number(shown).is_some() && number(shown) == number(told)
}

/// A value of ours as the client would print it, written from the model alone.
fn shown(value: &Value) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let day = |date: &Date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
    let clock = |nanos: u64, digits: bool| {
        let (seconds, micros) = (nanos / 1_000_000_000, nanos / 1_000 % 1_000_000);
        let text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if digits { format!("{text}.{micros:06}") } else { text }
    };
    match value {
        Value::Null => "NULL".into(),
        Value::Int(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float32(number) => format!("{:?}", f64::from(*number)),
        Value::Float64(number) => format!("{number:?}"),
        Value::Decimal(text) => text.clone(),
        Value::Text(text) | Value::Json(text) => hex(text.as_bytes()),
        Value::Bytes(bytes) => hex(bytes),
        Value::Date(date) => day(date),
        Value::DateTime(date, nanos) => format!("{} {}", day(date), clock(nanos.unsigned_abs(), true)),
        Value::Time(nanos) => format!("{}{}", if *nanos < 0 { "-" } else { "" }, clock(nanos.unsigned_abs(), true)),
        Value::Instant(seconds, nanos) => format!("{seconds}.{:06}", nanos / 1_000),
        Value::Uuid(bytes) => hex(uuid::Uuid::from_bytes(*bytes).to_string().as_bytes()),
        Value::Native(kind, bytes) if kind == "timestamp" && bytes == &[0] => "zero".into(),
        Value::Native(kind, bytes) if kind == "enum" && bytes == &[0] => "0:".into(),
        Value::Native(_, bytes) => hex(bytes),
        other => panic!("{other:?} is no value of this server"),
    }
}
