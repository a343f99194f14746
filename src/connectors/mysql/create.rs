//! The statements that make a table and complete it. Pure.

use super::{
    columns::map,
    definition::{Definition, Line, bare, kind},
    server::{Family, Server},
    text::{self, quote},
    translation::translate,
};
use crate::{
    error::{Error, Result},
    model::{Action, ForeignKey, Table},
};

/// The statement that makes `table`: without indexes beside its key, and without foreign keys. Of a source of one of the
/// two families it is the source's own, in the words of this server.
pub(super) fn create(table: &Table, server: &Server) -> Result<String> {
    if let Some(translation) = translate(table, server) {
        let lines = translation.lines.iter().map(String::as_str).collect();
        let definition = Definition { lines, options: &translation.options };
        return Ok(definition.create(&table.name, |line| !is_late(table, &definition, line)));
    }
    let mut parts: Vec<String> = (0..table.columns.len()).map(|column| declaration(table, column, server)).collect();
    if !table.is_keyless() {
        parts.push(format!("PRIMARY KEY ({})", names(table, &table.key)));
    }
    Ok(format!("CREATE TABLE {} (\n  {}\n) ENGINE=InnoDB", text::table(&table.name), parts.join(",\n  ")))
}

/// One column of a table that is made from the mapping.
pub(super) fn declaration(table: &Table, column: usize, server: &Server) -> String {
    let at_source = &table.columns[column];
    // What must not be NULL at the source may be missing in a row of an older shape; only the key never is.
    let not_null = match () {
        () if table.key.contains(&column) || !at_source.nullable => " NOT NULL",
        () => " NULL",
    };
    format!("{} {}{not_null}", quote(&at_source.name), map(table, column, server).declared)
}

/// Whether a line waits for `finish`. The index that stands for the key does not, nor one that a counter needs.
fn is_late(table: &Table, definition: &Definition<'_>, line: &Line<'_>) -> bool {
    let (Line::Unique(name) | Line::Index(name)) = *line else { return *line == Line::ForeignKey };
    let declares = |other: &&&str| matches!(kind(other), Line::Unique(n) | Line::Index(n) if n == name);
    let text = definition.lines.iter().find(declares).copied().unwrap_or_default();
    let counter = definition.lines.iter().find(|line| bare(line).contains(" AUTO_INCREMENT"));
    let needed = counter.is_some_and(|line| match kind(line) {
        Line::Column(column) => text.contains(&format!("({column}")),
        _ => false,
    });
    !(needed || is_key(table, definition, line, text))
}

/// A unique index over the columns of the key, where no primary key is one.
fn is_key(table: &Table, definition: &Definition<'_>, line: &Line<'_>, text: &str) -> bool {
    let primary = definition.lines.iter().any(|line| kind(line) == Line::Primary);
    let columns: Vec<String> = table.key.iter().map(|&column| quote(&table.columns[column].name)).collect();
    matches!(line, Line::Unique(_)) && !primary && text.contains(&format!("({})", columns.join(",")))
}

/// An index or a foreign key that `finish` makes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Late {
    /// At the source; the server may need another one.
    pub name: String,
    /// What follows `ALTER TABLE t ADD`.
    pub addition: String,
    /// Its columns, where it is unique over whole columns.
    pub unique: bool,
}

/// Every index that the source's table has beside its key.
pub(super) fn indexes(table: &Table, server: &Server) -> Result<Vec<Late>> {
    if let Some(translation) = translate(table, server) {
        let lines = translation.lines.iter().map(String::as_str).collect();
        let definition = Definition { lines, options: &translation.options };
        let late = definition.lines.iter().filter(|line| is_late(table, &definition, &kind(line)));
        let index = |line: &&str| match kind(line) {
            Line::Unique(name) => Some(Late { name: unquoted(name), addition: (*line).to_owned(), unique: true }),
            Line::Index(name) => Some(Late { name: unquoted(name), addition: (*line).to_owned(), unique: false }),
            _ => None,
        };
        return Ok(late.filter_map(index).collect());
    }
    table
        .uniques
        .iter()
        .map(|unique| match unique.columns.is_empty() {
            false => Ok(Late {
                name: unique.name.clone(),
                addition: format!("UNIQUE KEY {} ({})", quote(&short(&unique.name)), names(table, &unique.columns)),
                unique: true,
            }),
            true => {
                Err(Error::config(format!("{}: the unique index `{}` cannot be made here", table.name, unique.name))
                    .hint("drop it at the source, or leave the table out"))
            }
        })
        .collect()
}

/// What follows `ALTER TABLE t ADD` for a foreign key.
pub(super) fn foreign_key(table: &Table, key: &ForeignKey) -> String {
    if let Some(own) = own_foreign_key(table, key) {
        return own;
    }
    let parent_columns = key.parent_columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(",");
    let action = |on: &str, action| match action {
        Action::None => String::new(),
        Action::Restrict => format!(" ON {on} RESTRICT"),
        Action::Cascade => format!(" ON {on} CASCADE"),
        Action::SetNull => format!(" ON {on} SET NULL"),
        // InnoDB knows no such action; the source's own statements bring the values.
        Action::SetDefault => String::new(),
    };
    format!(
        "FOREIGN KEY ({}) REFERENCES {} ({parent_columns}){}{}",
        names(table, &key.columns),
        text::table(&key.parent),
        action("DELETE", key.on_delete),
        action("UPDATE", key.on_update)
    )
}

/// The source's own line, with the parent's name here.
fn own_foreign_key(table: &Table, key: &ForeignKey) -> Option<String> {
    Family::named(&table.family)?;
    let definition = Definition::read(table.definition.as_deref()?)?;
    let columns = format!("FOREIGN KEY ({}) REFERENCES ", names(table, &key.columns).replace("`,`", "`, `"));
    let line = definition.lines.iter().find(|line| kind(line) == Line::ForeignKey && line.contains(&columns))?;
    let (head, rest) = line.split_once(&columns)?;
    let (_, rest) = rest.split_once("` (")?;
    Some(format!("{head}{columns}{} ({rest}", text::table(&key.parent)))
}

fn names(table: &Table, columns: &[usize]) -> String {
    columns.iter().map(|&column| quote(&table.columns[column].name)).collect::<Vec<_>>().join(",")
}

/// A name here has at most 64 characters.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

fn unquoted(name: &str) -> String {
    name.trim_matches('`').replace("``", "`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, TableName, Type, Unique};

    fn mariadb() -> Server {
        Server {
            family: Family::Mariadb,
            version: (10, 11, 19),
            identity: "i".into(),
            server_id: 1,
            folds_names: false,
        }
    }

    #[test]
    fn of_another_kind_of_store() {
        let columns =
            vec![Column { nullable: false, ..Column::new("id", Type::Int) }, Column::new("na`me", Type::Text)];
        let mut table = Table::new(TableName::new("shop", "t"), columns, vec![0]);
        table.uniques = vec![Unique { name: "u".into(), columns: vec![1], definition: None }];
        let expected = "CREATE TABLE `shop`.`t` (\n  `id` bigint NOT NULL,\n  `na``me` varchar(768) CHARACTER SET \
                        utf8mb4 COLLATE utf8mb4_nopad_bin NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB";
        assert_eq!(create(&table, &mariadb()).unwrap(), expected);
        assert_eq!(indexes(&table, &mariadb()).unwrap()[0].addition, "UNIQUE KEY `u` (`na``me`)");
    }

    #[test]
    fn of_the_same_family() {
        let sql = "CREATE TABLE `t` (\n  `a` int(11) NOT NULL,\n  `n` int(11) NOT NULL AUTO_INCREMENT,\n  \
                   UNIQUE KEY `key` (`a`),\n  UNIQUE KEY `late` (`n`,`a`),\n  KEY `n` (`n`),\n  KEY `x` (`a`,`n`),\n  \
                   CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`a`)\n) ENGINE=InnoDB";
        let column = |name: &str| Column { nullable: false, ..Column::new(name, Type::Int) };
        let mut table = Table::new(TableName::new("shop", "t2"), vec![column("a"), column("n")], vec![0]);
        (table.family, table.definition) = ("mariadb".into(), Some(sql.into()));
        let made = create(&table, &mariadb()).unwrap();
        assert!(made.starts_with("CREATE TABLE `shop`.`t2` (") && made.contains("UNIQUE KEY `key`"), "{made}");
        assert!(made.contains("KEY `n` (`n`)") && !made.contains("FOREIGN") && !made.contains("`x`"), "{made}");
        let late: Vec<String> = indexes(&table, &mariadb()).unwrap().into_iter().map(|late| late.name).collect();
        assert_eq!(late, ["x"]);
    }
}
