//! Columns of a table that is there which hold less than the source's do: a row that does not fit stops its job. Pure.

use super::{
    compare::{carries, find},
    create,
    definition::{self, Definition},
    schema::Shape,
    server::Server,
    text,
    translation::translate,
    types::Native,
};
use crate::model::{Column, Table};

/// One of them.
pub(super) struct Narrow {
    pub column: String,
    pub text: String,
    /// The statement that makes it as wide as the source's.
    pub mend: String,
}

impl Narrow {
    /// Whether it may be why a row was refused.
    pub fn may_be(&self, why: &str) -> bool {
        match why.contains('`') {
            true => why.contains(&format!("`{}`", self.column)),
            false => why.contains("column"),
        }
    }
}

pub(super) fn narrower(table: &Table, there: &Shape, server: &Server) -> Vec<Narrow> {
    let stated = there.table.definition.as_deref().and_then(Definition::read);
    let mut all = Vec::new();
    for (index, at_source) in table.columns.iter().enumerate() {
        let Some((place, here)) = find(&there.table, &at_source.name) else { continue };
        let native = &there.natives[place];
        if here.generated || at_source.generated || !carries(at_source, native) {
            continue;
        }
        let is_smaller = Native::of(&at_source.declared).is_some_and(|own| holds_less(&own, native))
            || is_shorter(&at_source.declared, &here.declared);
        // What the server fills in by itself need not come with the row.
        let line = stated.as_ref().and_then(|stated| stated.column(&here.name)).unwrap_or_default();
        let needs_value = at_source.nullable && !here.nullable && !definition::bare(line).contains("AUTO_INCREMENT");
        let null = |column: &Column| if column.nullable { "" } else { " NOT NULL" };
        if is_smaller || needs_value {
            let text = format!(
                "its column `{}` is `{}{}` there, narrower than the source's `{}{}`: a row that does not fit stops the \
                 job",
                here.name,
                here.declared,
                null(here),
                at_source.declared,
                null(at_source)
            );
            let mend = format!("ALTER TABLE {} MODIFY COLUMN {}", text::table(&table.name), own(table, index, server));
            all.push(Narrow { column: at_source.name.clone(), text, mend });
        }
    }
    all
}

/// The column as the source declares it, in this server's words.
fn own(table: &Table, column: usize, server: &Server) -> String {
    let stated = translate(table, server).and_then(|translation| {
        let lines = translation.lines.iter().map(String::as_str).collect();
        let stated = Definition { lines, options: &translation.options };
        stated.column(&table.columns[column].name).map(str::to_owned)
    });
    stated.unwrap_or_else(|| create::declaration(table, column, server))
}

fn holds_less(own: &Native, here: &Native) -> bool {
    use Native as N;
    match (own, here) {
        (N::Int(own), N::Int(here)) | (N::Unsigned(own), N::Unsigned(here)) | (N::Bit(own), N::Bit(here)) => here < own,
        (N::Unsigned(own), N::Int(here)) => here <= own,
        (N::Int(_), N::Unsigned(_) | N::Bit(_)) => true,
        (N::Unsigned(own), N::Bit(here)) => u16::from(*here) < u16::from(*own) * 8,
        (N::Decimal { precision, scale }, N::Decimal { precision: digits, scale: behind }) => {
            behind < scale || digits.saturating_sub(*behind) < precision.saturating_sub(*scale)
        }
        (N::DateTime(own) | N::Timestamp(own), N::DateTime(here) | N::Timestamp(here))
        | (N::Time(own), N::Time(here)) => here < own,
        (N::Enum(own), N::Enum(here)) | (N::Set(own), N::Set(here)) => own.iter().any(|label| !here.contains(label)),
        (N::Text(_), N::Enum(_) | N::Set(_)) => true,
        _ => false,
    }
}

/// Of texts and bytes, by what is declared.
fn is_shorter(own: &str, here: &str) -> bool {
    let (Some(own_room), Some(here_room)) = (Room::of(own), Room::of(here)) else { return false };
    let charset = |declared: &str| {
        let named = declared.split_once(" CHARACTER SET ").map(|(_, rest)| rest);
        named.map(|rest| match rest.split(' ').next().unwrap_or_default() {
            // By its old name.
            "utf8" => "utf8mb3".to_owned(),
            set => set.to_owned(),
        })
    };
    let whole = ["utf8mb4", "utf16", "utf16le", "utf32"];
    let (own_set, here_set) = (charset(own), charset(here));
    let lacks_characters = own_set != here_set
        && own_set.as_deref() != Some("ascii")
        && here_set.is_some_and(|set| !whole.contains(&set.as_str()));
    // Bytes in the character set there.
    let bytes = match charset(here).as_deref() {
        None => 1,
        Some("utf8mb3") => 3,
        Some(set) if whole.contains(&set) => 4,
        Some(_) => 1,
    };
    lacks_characters
        || match (own_room, here_room) {
            (Room::Characters(own), Room::Characters(here)) | (Room::Bytes(own), Room::Bytes(here)) => here < own,
            (Room::Characters(own), Room::Bytes(here)) => here < own * bytes,
            (Room::Bytes(own), Room::Characters(here)) => here < own,
        }
}

#[derive(Clone, Copy)]
enum Room {
    Characters(u64),
    Bytes(u64),
}

impl Room {
    fn of(declared: &str) -> Option<Room> {
        let end = declared.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(declared.len());
        let width = || declared[end..].strip_prefix('(')?.split(')').next()?.parse().ok();
        Some(match &declared[..end].to_ascii_lowercase()[..] {
            "char" | "varchar" => Room::Characters(width()?),
            "binary" | "varbinary" => Room::Bytes(width()?),
            "tinytext" | "tinyblob" => Room::Bytes(u64::from(u8::MAX)),
            "text" | "blob" => Room::Bytes(u64::from(u16::MAX)),
            "mediumtext" | "mediumblob" => Room::Bytes((1 << 24) - 1),
            "longtext" | "longblob" => Room::Bytes(u64::from(u32::MAX)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_narrower(own: &str, here: &str) -> bool {
        holds_less(&Native::of(own).unwrap(), &Native::of(here).unwrap()) || is_shorter(own, here)
    }

    #[test]
    fn what_holds_less_than_the_source_does() {
        let text = |declared: &str, set: &str| format!("{declared} CHARACTER SET {set} COLLATE {set}_bin");
        for (own, here) in [
            ("bigint(20)", "int(11)"),
            ("int(10) unsigned", "int(11)"),
            ("int(11)", "bigint(20) unsigned"),
            ("decimal(10,3)", "decimal(12,2)"),
            ("decimal(10,2)", "decimal(9,2)"),
            ("datetime(6)", "datetime"),
            ("enum('a','b')", "enum('b')"),
            ("varbinary(10)", "varbinary(9)"),
            ("blob", "tinyblob"),
            (&text("varchar(20)", "utf8mb4"), &text("varchar(10)", "utf8mb4")),
            (&text("varchar(100)", "utf8mb4"), &text("tinytext", "utf8mb4")),
            (&text("varchar(20)", "utf8mb4"), &text("varchar(20)", "latin1")),
        ] {
            assert!(is_narrower(own, here) && !is_narrower(here, here), "{own} into {here}");
        }
        for (own, here) in [
            ("int(11)", "bigint(20)"),
            ("int(10) unsigned", "bigint(20)"),
            ("decimal(10,2)", "decimal(12,2)"),
            ("datetime", "datetime(3)"),
            ("enum('a')", "enum('b','a')"),
            (&text("varchar(20)", "latin1"), &text("varchar(20)", "utf8mb4")),
            (&text("varchar(20)", "ascii"), &text("varchar(20)", "latin1")),
            (&text("varchar(60)", "utf8mb4"), &text("text", "utf8mb4")),
        ] {
            assert!(!is_narrower(own, here), "{own} into {here}");
        }
    }
}
