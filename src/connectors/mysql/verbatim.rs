//! A table in the words of another server of its family, where the same words would not mean the same there. Pure.
//!
//! A server leaves out what is its default: how texts are compared is then what the reader's is, and MySQL's has changed
//! (`general_ci` until 5.7, `0900_ai_ci` since). And what it computes of moments is what they are in the time zone of the
//! session that writes, which here is ours.

use super::{
    collations, columns,
    definition::{Definition, Line, kind, words},
    server::Server,
    text::quote,
};
use crate::model::{Column, Severity, Table};
use std::collections::BTreeSet;

/// Character sets whose collation was `general_ci` where none is named. Servers of another default name that.
const OLD_SETS: [&str; 7] = ["utf8", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32"];

/// Functions whose result depends on the session's zone, whatever they are given.
const ZONED: [&str; 3] = ["from_unixtime(", "unix_timestamp(", "convert_tz("];

/// The lines of the definition, and what is not as at the source.
pub(super) fn lines(
    table: &Table,
    definition: &Definition<'_>,
    server: &Server,
) -> (Vec<String>, Vec<(Severity, String)>) {
    let zoned = zoned(table, definition);
    let mut told = Vec::new();
    let mut one = |line: &&str| match kind(line) {
        Line::Column(name) => {
            let Some(at) = table.columns.iter().position(|column| quote(&column.name) == name) else {
                return (*line).to_owned();
            };
            let (line, column) = (collated(line, table, at, server), &table.columns[at]);
            match zoned.contains(&column.name) && is_stored(&line) {
                true => {
                    told.push((
                        Severity::Info,
                        format!(
                            "column `{}` is computed at the source in the time zone of whoever writes; here it is an \
                             ordinary one and takes those values",
                            column.name
                        ),
                    ));
                    ordinary(&line, column)
                }
                false => line,
            }
        }
        Line::Unique(name) | Line::Index(name) => {
            let computed = table.columns.iter().filter(|column| zoned.contains(&column.name));
            let virtually = computed.filter(|column| {
                definition.column(&column.name).is_some_and(|line| !is_stored(line))
                    && parts(line).contains(&quote(&column.name))
            });
            let of_expression = parts(line).contains("((") || parts(line).contains(",(");
            if virtually.count() > 0 || of_expression && is_zoned(table, &zoned, parts(line)) {
                let (severity, rule) = match kind(line) {
                    Line::Unique(_) => (Severity::Warning, ", and refuses rows that the source takes"),
                    _ => (Severity::Info, ""),
                };
                told.push((
                    severity,
                    format!(
                        "the index {name} is over what each session computes in its own time zone: here it is kept by \
                         UTC{rule}"
                    ),
                ));
            }
            (*line).to_owned()
        }
        _ => (*line).to_owned(),
    };
    let lines = definition.lines.iter().map(&mut one).collect();
    (lines, told)
}

/// With the collation that goes without saying at the source: that of columns which come later.
pub(super) fn options(options: &str, server: &Server) -> String {
    let all = words(options);
    let sets = all.iter().filter_map(|word| word.strip_prefix("CHARSET="));
    match sets.into_iter().find(|set| OLD_SETS.contains(set)) {
        Some(set) if !all.iter().any(|word| word.starts_with("COLLATE=")) => {
            let (named, here) = (format!("CHARSET={set}"), collations::spelled(&format!("{set}_general_ci"), server));
            options.replacen(&named, &format!("{named} COLLATE={here}"), 1)
        }
        _ => options.to_owned(),
    }
}

/// Stored columns of a server's own table that it would compute in our time zone.
pub(super) fn computed_by_zone(table: &Table) -> Vec<&str> {
    let Some(definition) = table.definition.as_deref().and_then(Definition::read) else { return Vec::new() };
    let zoned = zoned(table, &definition);
    let stored = |name: &str| definition.column(name).is_some_and(is_stored);
    let names = table.columns.iter().map(|column| column.name.as_str());
    names.filter(|name| zoned.contains(*name) && stored(name)).collect()
}

/// A column's line, with how its texts are compared where it names a character set alone. One that names neither is as the
/// table's options say.
fn collated(line: &str, table: &Table, column: usize, server: &Server) -> String {
    let mut all = words(line);
    let Some((_, own)) = table.columns[column].declared.split_once(" CHARACTER SET ") else { return line.to_owned() };
    let Some((charset, own)) = own.split_once(" COLLATE ") else { return line.to_owned() };
    if all.contains(&"COLLATE") {
        return line.to_owned();
    }
    // Name, type, and how MariaDB packs it.
    let at = 2 + usize::from(all.get(2).is_some_and(|word| word.starts_with("/*") && word.contains("COMPRESSED")));
    if all.get(at) != Some(&"CHARACTER") || !OLD_SETS.contains(&charset) {
        return line.to_owned();
    }
    let here = collations::here(charset, own, columns::is_told_apart(table, column), server).words;
    all.splice(at..at + 3, [here.as_str()]);
    all.join(" ")
}

/// Columns that are computed from moments, directly or by way of others.
fn zoned(table: &Table, definition: &Definition<'_>) -> BTreeSet<String> {
    let mut zoned = BTreeSet::new();
    let computed: Vec<(&Column, &str)> = table
        .columns
        .iter()
        .filter_map(|column| Some((column, expression(definition.column(&column.name)?)?)))
        .collect();
    loop {
        let found = computed.iter().find(|(column, expression)| {
            !zoned.contains(&column.name) && (is_moment(column) || is_zoned(table, &zoned, expression))
        });
        match found {
            Some((column, _)) => drop(zoned.insert(column.name.clone())),
            None => return zoned,
        }
    }
}

fn is_zoned(table: &Table, zoned: &BTreeSet<String>, expression: &str) -> bool {
    let lower = expression.to_lowercase();
    let names = || expression.split('`').skip(1).step_by(2);
    let moment = |name: &str| {
        let mut columns = table.columns.iter();
        columns
            .any(|column| column.name.eq_ignore_ascii_case(name) && (is_moment(column) || zoned.contains(&column.name)))
    };
    ZONED.iter().any(|function| lower.contains(function)) || names().any(moment)
}

/// Kept in UTC, and shown in the session's zone.
fn is_moment(column: &Column) -> bool {
    column.declared.starts_with("timestamp")
}

/// What a column's line computes, in its brackets.
fn expression(line: &str) -> Option<&str> {
    let all = words(line);
    let at = all.iter().position(|word| *word == "AS")?;
    all.get(at + 1).copied().filter(|word| word.starts_with('('))
}

fn is_stored(line: &str) -> bool {
    let all = words(line);
    expression(line).is_some() && all.iter().any(|word| matches!(*word, "STORED" | "PERSISTENT"))
}

fn parts(line: &str) -> &str {
    words(line).into_iter().find(|word| word.starts_with('(')).unwrap_or_default()
}

/// The line without what it computes.
fn ordinary(line: &str, column: &Column) -> String {
    let mut all = words(line);
    let is = |words: &[&str], names: &[&str]| words.iter().position(|word| names.contains(word));
    if let (Some(from), Some(to)) = (is(&all, &["GENERATED", "AS"]), is(&all, &["STORED", "PERSISTENT"])) {
        // What a moment is that says nothing of NULL is a server's setting.
        let null: &[&str] = if column.nullable && !all.contains(&"NULL") { &["NULL"] } else { &[] };
        all.splice(from..=to, null.iter().copied());
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{super::server::Family, *};
    use crate::model::{TableName, Type};

    fn server() -> Server {
        Server { family: Family::Mysql, version: (9, 7, 4), identity: "i".into(), server_id: 1, folds_names: false }
    }

    fn table(columns: &[(&str, &str)]) -> Table {
        let column = |(name, declared): &(&str, &str)| Column {
            declared: (*declared).into(),
            nullable: true,
            ..Column::new(*name, Type::Text)
        };
        Table::new(TableName::new("s", "t"), columns.iter().map(column).collect(), vec![0])
    }

    fn made(columns: &[(&str, &str)], lines_of: &[&str]) -> (Vec<String>, Vec<(Severity, String)>) {
        lines(&table(columns), &Definition { lines: lines_of.to_vec(), options: "" }, &server())
    }

    #[test]
    fn how_texts_are_compared_is_named() {
        let general = "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";
        let old = "enum('COLLATE','b') CHARACTER SET utf8 COLLATE utf8_general_ci";
        let packed = "text /*M!100301 COMPRESSED*/ CHARACTER SET latin1 COLLATE latin1_bin";
        let (lines, told) = made(
            &[("a", general), ("b", old), ("c", packed), ("n", "int(11)")],
            &[
                "`a` varchar(9) NOT NULL DEFAULT 'it''s, (' COMMENT 'x COLLATE y'",
                "`b` enum('COLLATE','b') CHARACTER SET utf8 DEFAULT NULL",
                "`c` text /*M!100301 COMPRESSED*/ CHARACTER SET latin1 COLLATE latin1_bin DEFAULT NULL",
                "`n` int(11) DEFAULT NULL",
            ],
        );
        let expected = [
            "`a` varchar(9) NOT NULL DEFAULT 'it''s, (' COMMENT 'x COLLATE y'",
            "`b` enum('COLLATE','b') CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci DEFAULT NULL",
            "`c` text /*M!100301 COMPRESSED*/ CHARACTER SET latin1 COLLATE latin1_bin DEFAULT NULL",
            "`n` int(11) DEFAULT NULL",
        ];
        assert_eq!(lines, expected);
        assert_eq!(told, []);
        assert_eq!(
            options("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='x'", &server()),
            "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='x'"
        );
        assert_eq!(
            options("ENGINE=InnoDB DEFAULT CHARSET=utf8 COMMENT='CHARSET=ucs2'", &server()),
            "ENGINE=InnoDB DEFAULT CHARSET=utf8 COLLATE=utf8mb3_general_ci COMMENT='CHARSET=ucs2'"
        );
        for same in
            ["ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin", "ENGINE=InnoDB DEFAULT CHARSET=latin1"]
        {
            assert_eq!(options(same, &server()), same);
        }
    }

    #[test]
    fn what_an_older_server_does_not_know_is_told_apart_where_a_key_depends_on_it() {
        let older = Server { version: (5, 7, 44), ..server() };
        let accents = "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci";
        let definition = Definition {
            lines: vec!["`id` varchar(9) CHARACTER SET utf8mb4 NOT NULL", "`v` varchar(9) CHARACTER SET utf8mb4"],
            options: "",
        };
        let (lines, _) = lines(&table(&[("id", accents), ("v", accents)]), &definition, &older);
        assert_eq!(lines[0], "`id` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL");
        assert_eq!(lines[1], "`v` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci");
    }

    #[test]
    fn what_depends_on_a_zone_is_not_computed_anew() {
        let columns = [("id", "int(11)"), ("ts", "timestamp"), ("v", "int(11)"), ("h", "int(11)"), ("n", "int(11)")];
        let (lines, told) = made(
            &columns,
            &[
                "`ts` timestamp NULL DEFAULT NULL",
                "`v` int(11) GENERATED ALWAYS AS (hour(`ts`)) VIRTUAL",
                "`h` int(11) GENERATED ALWAYS AS (`v` + 1) STORED COMMENT 'AS'",
                "`n` int(11) GENERATED ALWAYS AS (`id` + 1) STORED",
                "UNIQUE KEY `u` (`v`)",
                "KEY `k` (`h`)",
                "KEY `f` ((hour(`ts`)))",
            ],
        );
        assert_eq!(lines[1], "`v` int(11) GENERATED ALWAYS AS (hour(`ts`)) VIRTUAL");
        assert_eq!(lines[2], "`h` int(11) NULL COMMENT 'AS'");
        assert_eq!(lines[3], "`n` int(11) GENERATED ALWAYS AS (`id` + 1) STORED");
        let about: Vec<_> = told.iter().map(|(severity, text)| (*severity, text.split(' ').nth(2).unwrap())).collect();
        let expected = [(Severity::Info, "is"), (Severity::Warning, "`u`"), (Severity::Info, "`f`")];
        assert_eq!(about, expected, "{told:?}");
    }
}
