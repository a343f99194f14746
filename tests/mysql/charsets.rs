//! Every character of every character set: what we read as text is what the server makes of the same bytes.

use super::reading::{copied, source, table};
use crate::support::mysql::{Kind, Server};
use std::collections::BTreeMap;
use whimbrel::model::{Equality, KeyRange, Value};

/// Characters of one, two and three bytes, by their first bytes.
const BYTES: &str = "SELECT seq AS n FROM numbers.seq_1_to_255 \
    UNION ALL SELECT a.seq * 256 + b.seq FROM numbers.seq_1_to_255 a JOIN numbers.seq_1_to_255 b \
    ON a.seq BETWEEN 129 AND 254 AND b.seq BETWEEN 64 AND 254 WHERE @wide > 1 \
    UNION ALL SELECT 9371648 + a.seq * 256 + b.seq FROM numbers.seq_1_to_255 a JOIN numbers.seq_1_to_255 b \
    ON a.seq BETWEEN 161 AND 254 AND b.seq BETWEEN 161 AND 254 WHERE @wide > 2";

/// Sets that are read as text, but for a few of their characters.
const READ: &[&str] = &[
    "armscii8", "cp850", "cp852", "dec8", "hp8", "keybcs2", "macce", "latin1", "latin2", "latin5", "latin7", "cp1250",
    "cp1251", "cp1256", "cp1257", "cp866", "koi8r", "koi8u", "greek", "hebrew", "tis620", "macroman", "gbk", "gb2312",
    "big5", "sjis", "cp932", "euckr", "ujis", "eucjpms", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32",
];

#[tokio::test]
async fn no_byte_is_read_as_another_character_than_the_servers() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        no_byte_is_another_character(kind).await;
    }
}

async fn no_byte_is_another_character(kind: Kind) {
    let server = Server::of(kind, &["--sql-mode=", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"]);
    let source = source(&server);
    server.numbers(&[255, 65_000]);
    let sets = server.sql(
        "SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME <> 'binary'",
    );
    let (mut problems, mut bytes_only) = (Vec::new(), BTreeMap::new());
    for line in sets.lines() {
        let (set, wide) = line.split_once('\t').expect("two values");
        let unicode = set.starts_with("utf") || set == "ucs2";
        let value = match unicode {
            // Their own form of every character of the basic plane.
            true => format!("CONVERT(CHAR(n USING utf32) USING {set})"),
            false => format!("CONVERT(UNHEX(IF(n < 16, CONCAT('0', HEX(n)), HEX(n))) USING {set})"),
        };
        let numbers = if unicode {
            "SELECT seq AS n FROM numbers.seq_1_to_65000 WHERE seq < 55296 OR seq > 57343"
        } else {
            BYTES
        };
        server.sql(&format!(
            "SET @wide = {wide}; CREATE TABLE {set} (id INT PRIMARY KEY, v VARCHAR(4) CHARACTER SET {set}); \
             INSERT INTO {set} SELECT n, {value} FROM ({numbers}) numbers; \
             DELETE FROM {set} WHERE v IS NULL"
        ));
        let told = server.sql(&format!(
            "SELECT HEX(v), HEX(CONVERT(v USING utf8mb4)), HEX(CONVERT(CONVERT(v USING utf8mb4) USING {set})) \
             FROM {set} ORDER BY id"
        ));
        let table = table(&*source, set).await;
        let rows = copied(&*source, &table, &KeyRange::all()).await;
        assert_eq!(rows.len(), told.lines().count());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let mut wrong: Vec<String> = Vec::new();
        let mut raw = 0;
        for (row, told) in rows.iter().zip(told.lines()) {
            let [bytes, text, back] = told.split('\t').collect::<Vec<_>>()[..] else { panic!("{told}") };
            match &row[1] {
                // A target would get other bytes for the same text.
                Value::Text(_) if back != bytes => wrong.push(format!("{bytes}: comes back as {back}")),
                Value::Text(read) if hex(read.as_bytes()) == text => {}
                Value::Text(read) => wrong.push(format!("{bytes}: {} not {text}", hex(read.as_bytes()))),
                Value::Native(kind, read) if kind == set && hex(read) == bytes => raw += 1,
                other => wrong.push(format!("{bytes}: {other:?}")),
            }
        }
        if !wrong.is_empty() {
            problems.push(format!(
                "{set}: {} of {}: {}",
                wrong.len(),
                rows.len(),
                wrong[..wrong.len().min(12)].join(", ")
            ));
        }
        // MySQL makes no character of bytes that are none; the rest are these.
        assert!(rows.len() >= 120, "{kind:?}, {set}: {} characters", rows.len());
        bytes_only.insert(set.to_owned(), (raw, rows.len()));
    }
    assert!(problems.is_empty(), "{kind:?}: {}\nread as bytes: {bytes_only:?}", problems.join("\n"));
    for set in READ {
        let (raw, all) = bytes_only[*set];
        assert!(raw * 4 <= all, "{set}: {raw} of {all} characters are read as bytes");
    }
}

/// Keys are spread over lanes by their letters and digits, so these must tell apart what a collation does.
#[tokio::test]
async fn where_letters_are_taken_for_others_no_two_keys_are_known_to_differ() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        no_two_keys_are_known_to_differ(kind).await;
    }
}

async fn no_two_keys_are_known_to_differ(kind: Kind) {
    let server = Server::of(kind, &["--sql-mode=", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"]);
    let list = |letters: &str| {
        let all: Vec<String> = letters.chars().map(|letter| format!("SELECT '{letter}' AS c")).collect();
        format!("({})", all.join(" UNION "))
    };
    // All letters and digits, alone and in pairs; and what languages write as one letter, also doubled.
    let (all, few) = (list("019abcdefghijklmnopqrstuvwxyz"), list("cszdglntyhkv"));
    server.sql(&format!(
        "CREATE TABLE words (word VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY); \
         INSERT INTO words SELECT c FROM {all} a; INSERT INTO words SELECT CONCAT(a.c, b.c) FROM {all} a, {all} b; \
         INSERT INTO words SELECT CONCAT(a.c, b.c, c.c) FROM {few} a, {few} b, {few} c; \
         INSERT INTO words SELECT CONCAT(a.c, b.c, a.c, b.c) FROM {few} a, {few} b"
    ));
    // Rules of one name are the same in all of Unicode's sets.
    let rules = server.sql(
        "SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY \
         WHERE CHARACTER_SET_NAME NOT IN ('binary', 'ucs2', 'utf16', 'utf16le', 'utf32', 'utf8mb3')",
    );
    assert!(rules.lines().count() > 150, "{kind:?}: {rules}");
    let ask = |line: &str| {
        let (set, collation) = line.split_once('\t').expect("two values");
        format!(
            "SELECT '{set}', '{collation}', GROUP_CONCAT(word) FROM words \
             GROUP BY CONVERT(word USING {set}) COLLATE {collation} HAVING COUNT(*) > 1 LIMIT 1"
        )
    };
    let found = server.sql(&rules.lines().map(ask).collect::<Vec<_>>().join(";"));
    assert!(found.contains("lithuanian_ci\t0i,0y") || found.contains("lithuanian_ci\t0y,0i"), "{kind:?}: {found}");
    let source = source(&server);
    let found = format!("{found}utf8mb4\tutf8mb4_unicode_ci\tnone");
    for (number, line) in found.lines().enumerate() {
        let [set, collation, words] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        server
            .sql(&format!("CREATE TABLE t{number} (k VARCHAR(9) CHARACTER SET {set} COLLATE {collation} PRIMARY KEY)"));
        let expected = if words == "none" { Equality::Coarse } else { Equality::Tailored };
        assert_eq!(table(&*source, &format!("t{number}")).await.columns[0].equality, expected, "{kind:?}: {line}");
    }
}
