//! Which type a column of another kind of store gets here. Pure.

use super::{
    clash,
    collations::{self, Here, exact},
    server::{Family, Server},
    types::Native,
};
use crate::model::{Column, Table, Type};

/// Bytes of an index in InnoDB's usual row format, and what old servers take of one column.
const INDEX_BYTES: usize = 3_072;
pub(super) const OLD_INDEX_BYTES: usize = 767;

/// The type and what it cannot hold of the source's column, if anything.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mapped {
    pub declared: String,
    /// What is lost or refused, in words; `None`: every value fits exactly.
    pub loses: Option<&'static str>,
}

/// Whether the source's own words mean the same here.
pub(super) fn is_same_family(table: &Table, server: &Server) -> bool {
    table.family == server.family.name()
}

/// For a column of `table`, which is made here.
pub(super) fn map(table: &Table, column: usize, server: &Server) -> Mapped {
    let at_source = &table.columns[column];
    let exactly = |declared: &str| Mapped { declared: declared.to_owned(), loses: None };
    let but = |declared: &str, loses| Mapped { declared: declared.to_owned(), loses: Some(loses) };
    if Family::named(&table.family).is_some()
        && let Some(mapped) = relative(table, column, server)
    {
        return mapped;
    }
    let text = exact(server);
    let kind = meant(at_source);
    if kind != at_source.kind {
        let told = Column { kind, ..at_source.clone() };
        let mut table = table.clone();
        table.columns[column] = told;
        return Mapped {
            loses: Some("values of other kinds, which the source allows there, are refused"),
            ..map(&table, column, server)
        };
    }
    match kind {
        Type::Bool => exactly("tinyint(1)"),
        Type::Int => exactly("bigint"),
        Type::Unsigned => exactly("bigint unsigned"),
        Type::Float32 => but("float", "\"not a number\" and infinities are refused"),
        Type::Float64 => but("double", "\"not a number\" and infinities are refused"),
        Type::Decimal => decimal(at_source),
        Type::Text | Type::Any => {
            let declared = match indexed_width(table, column, server) {
                Some(width) => format!("varchar({}) {text}", width / 4),
                None => format!("longtext {text}"),
            };
            match (at_source.kind, indexed_width(table, column, server)) {
                (Type::Any, _) if table.key.contains(&column) => {
                    but(&declared, "it is a key: what is no text is refused, since it would be read as another one")
                }
                (Type::Any, _) => but(&declared, "numbers become text, bytes and lists are refused"),
                (_, Some(_)) => but(&declared, "longer texts do not fit an index and are refused"),
                (_, None) => exactly(&declared),
            }
        }
        Type::Bytes => match indexed_width(table, column, server) {
            Some(width) => but(&format!("varbinary({width})"), "longer values do not fit an index and are refused"),
            None => exactly("longblob"),
        },
        Type::Date => but("date", "years outside of 0 to 9999 are refused"),
        Type::Time => but("time(6)", "more than 838:59:59, or finer than microseconds, is refused"),
        Type::DateTime => but("datetime(6)", "years outside of 0 to 9999, or finer than microseconds, are refused"),
        Type::Instant => but("datetime(6)", "become the date and time in UTC; finer than microseconds is refused"),
        Type::Interval => but(&format!("varchar(80) {text}"), "become text"),
        Type::Uuid if server.at_least(Family::Mariadb, (10, 7, 0)) => exactly("uuid"),
        Type::Uuid => but("char(36) CHARACTER SET ascii COLLATE ascii_bin", "become text"),
        Type::Json if server.at_least(Family::Mysql, (5, 7, 8)) => {
            but("json", "are spelled as the server spells them: order of names, spaces, digits of fractions")
        }
        Type::Json => exactly(&format!("longtext {text}")),
        Type::List | Type::Map | Type::Native => {
            but(&format!("longtext {text}"), "the server has no such type: a row with a value there stops the job")
        }
    }
}

/// What a column that takes any kind is meant to hold, by SQLite's reading of its words.
fn meant(column: &Column) -> Type {
    let declared = column.declared.to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    match column.kind {
        Type::Any if says(&["INT", "BOOL"]) => Type::Int,
        Type::Any if says(&["CHAR", "CLOB", "TEXT"]) => Type::Text,
        Type::Any if says(&["BLOB"]) => Type::Bytes,
        Type::Any if says(&["REAL", "FLOA", "DOUB"]) => Type::Float64,
        kind => kind,
    }
}

/// Between MySQL and MariaDB most words mean the same. `None`: nothing like it is there.
fn relative(table: &Table, at: usize, server: &Server) -> Option<Mapped> {
    let column = &table.columns[at];
    let native = Native::of(&column.declared)?;
    let mapped = |declared: String, loses| Some(Mapped { declared, loses });
    let (first, behind) = column.declared.split_once(" CHARACTER SET ").unwrap_or((&column.declared, ""));
    let (charset, own) = behind.split_once(" COLLATE ").unwrap_or((behind, ""));
    match &native {
        Native::Text(_) | Native::Enum(_) | Native::Set(_) => {
            // Labels are told apart by their number.
            let apart = matches!(native, Native::Text(_)) && is_told_apart(table, at);
            let Here { words, loses } = collations::here(charset, own, apart, server);
            mapped(format!("{} {words}", without_comments(first)), loses)
        }
        Native::Json if !server.at_least(Family::Mysql, (5, 7, 8)) => {
            mapped(format!("longtext {}", exact(server)), None)
        }
        Native::Uuid if !server.is_mariadb() => {
            mapped("char(36) CHARACTER SET ascii COLLATE ascii_bin".to_owned(), Some("become text"))
        }
        Native::Inet6 | Native::Inet4 if !server.is_mariadb() => {
            mapped("varchar(45) CHARACTER SET ascii COLLATE ascii_bin".to_owned(), Some("become text"))
        }
        Native::Vector if server.is_mariadb() && server.version < (11, 7, 1) => None,
        Native::Vector if !server.is_mariadb() && server.version < (9, 0, 0) => None,
        Native::Time(1..) if table.family == Family::Mariadb.name() && !server.is_mariadb() => {
            mapped(first.to_owned(), Some("fractions beyond 838:59:59 are refused"))
        }
        Native::Geometry => mapped(first.replace("geomcollection", "geometrycollection"), None),
        _ => mapped(without_comments(first), None),
    }
}

/// Whether values that differ at the source must differ here: in a key, a unique index, a foreign key.
pub(super) fn is_told_apart(table: &Table, column: usize) -> bool {
    table.key.contains(&column)
        || table.foreign_keys.iter().any(|key| key.columns.contains(&column))
        || table.uniques.iter().any(|unique| match clash::terms(table, unique) {
            Some(terms) => terms.iter().any(|term| term.column == column),
            None => true,
        })
}

/// `text /*M!100301 COMPRESSED*/`.
fn without_comments(declared: &str) -> String {
    match (declared.split_once("/*"), declared.rsplit_once("*/")) {
        (Some((head, _)), Some((_, tail))) => format!("{}{tail}", head.trim_end()),
        _ => declared.to_owned(),
    }
}

fn decimal(column: &Column) -> Mapped {
    let inside = column.declared.split_once('(').and_then(|(_, rest)| rest.split(')').next());
    let numbers: Vec<u8> = inside.unwrap_or_default().split(',').filter_map(|part| part.trim().parse().ok()).collect();
    match numbers[..] {
        [precision, scale] if precision <= 65 && scale <= 30 && scale <= precision => {
            Mapped { declared: format!("decimal({precision},{scale})"), loses: None }
        }
        [precision] if precision <= 65 => Mapped { declared: format!("decimal({precision},0)"), loses: None },
        _ => Mapped {
            declared: "decimal(65,30)".to_owned(),
            loses: Some("more than 35 digits before the point or 30 behind it are refused"),
        },
    }
}

/// Bytes that a column may have, so that all indexes over it can be made; `None`: it is in none.
fn indexed_width(table: &Table, column: usize, server: &Server) -> Option<usize> {
    let wide = |column: &usize| {
        matches!(meant(&table.columns[*column]), Type::Text | Type::Bytes | Type::Any | Type::Decimal | Type::Uuid)
    };
    let foreign = table.foreign_keys.iter().map(|key| &key.columns);
    let indexes = std::iter::once(&table.key).chain(table.uniques.iter().map(|unique| &unique.columns)).chain(foreign);
    let of = |columns: &Vec<usize>| {
        let others = columns.len() - columns.iter().filter(|column| wide(column)).count();
        (INDEX_BYTES - 16 * others.min(100)) / columns.iter().filter(|column| wide(column)).count().max(1)
    };
    let width = indexes.filter(|columns| columns.contains(&column)).map(of).min()?;
    let most = if takes_long_indexes(server) { INDEX_BYTES } else { OLD_INDEX_BYTES };
    Some(width.min(most) / 4 * 4)
}

/// Without a setting for it.
pub(super) fn takes_long_indexes(server: &Server) -> bool {
    match server.family {
        Family::Mysql => server.version >= (5, 7, 7),
        Family::Mariadb => server.version >= (10, 2, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TableName, Unique};

    fn server(family: Family, version: (u16, u16, u16)) -> Server {
        Server { family, version, identity: String::new(), server_id: 1, folds_names: false }
    }

    #[test]
    fn other_stores_types() {
        let mut table = Table::new(
            TableName::new("s", "t"),
            [Type::Int, Type::Text, Type::Text, Type::Bytes, Type::Uuid, Type::Json]
                .map(|kind| Column::new("c", kind))
                .to_vec(),
            vec![0, 1],
        );
        table.uniques = vec![Unique { name: "u".into(), columns: vec![3], definition: None }];
        let mapped = |server: &Server| (0..6).map(|column| map(&table, column, server).declared).collect::<Vec<_>>();
        let nopad = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
        assert_eq!(
            mapped(&server(Family::Mariadb, (10, 11, 19))),
            [
                "bigint".to_owned(),
                format!("varchar(764) {nopad}"),
                format!("longtext {nopad}"),
                "varbinary(3072)".to_owned(),
                "uuid".to_owned(),
                format!("longtext {nopad}"),
            ]
        );
        let mysql = mapped(&server(Family::Mysql, (9, 7, 4)));
        assert_eq!(mysql[5], "json");
        assert!(mysql[4].starts_with("char(36)") && mysql[2].ends_with("utf8mb4_0900_bin"));
    }

    #[test]
    fn the_other_family_means_the_same_by_most_words() {
        let mysql = server(Family::Mysql, (9, 7, 4));
        let mariadb = server(Family::Mariadb, (10, 11, 19));
        let old = server(Family::Mysql, (5, 6, 24));
        for (family, to, declared, expected) in [
            ("mariadb", &mysql, "int(10) unsigned", "int(10) unsigned"),
            (
                "mysql",
                &mariadb,
                "varchar(9) CHARACTER SET latin1 COLLATE latin1_bin",
                "varchar(9) CHARACTER SET latin1 COLLATE latin1_bin",
            ),
            (
                "mysql",
                &mariadb,
                "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
                "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_nopad_ai_ci",
            ),
            ("mysql", &mariadb, "json", "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"),
            ("mysql", &old, "json", "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            ("mysql", &mariadb, "geomcollection", "geometrycollection"),
            ("mariadb", &mysql, "uuid", "char(36) CHARACTER SET ascii COLLATE ascii_bin"),
            (
                "mysql",
                &mariadb,
                "enum('a') CHARACTER SET latin1 COLLATE latin1_swedish_ci",
                "enum('a') CHARACTER SET latin1 COLLATE latin1_swedish_ci",
            ),
        ] {
            let native = Native::of(declared).unwrap();
            let column = Column { declared: declared.into(), ..Column::new("c", native.kind()) };
            let table = Table { family: family.into(), ..Table::new(TableName::new("s", "t"), vec![column], vec![]) };
            assert_eq!(map(&table, 0, to).declared, expected);
        }
    }
}
