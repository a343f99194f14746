//! Names of foreign keys, of which a database has each once, whatever table it is of: one that was renamed keeps them.

use super::{
    connect::Session,
    create,
    failure::{self, Answer},
    schema::strings,
    server::Family,
    text::{self, literal, quote},
};
use crate::{
    error::{Error, Result},
    model::{Finding, Severity, Table, TableName},
};
use std::collections::{BTreeMap, BTreeSet};

/// Tables of a target by their database and the lower-case name of a foreign key.
pub(super) type Held = BTreeMap<(String, String), TableName>;

/// Of the databases that tables with foreign keys are to be made in.
pub(super) async fn held(session: &mut Session, schemas: &BTreeSet<&str>) -> Answer<Held> {
    let mut held = Held::new();
    // Each table has names of its own since.
    if session.server.at_least(Family::Mariadb, (12, 1, 0)) {
        return Ok(held);
    }
    for schema in schemas {
        let sql = format!("{} CONSTRAINT_SCHEMA = {}", SELECT, literal(schema));
        for row in session.rows(sql).await? {
            let [name, table] = strings(row);
            held.insert(((*schema).to_owned(), name.to_lowercase()), TableName::new(*schema, table));
        }
    }
    Ok(held)
}

const SELECT: &str = "SELECT CONSTRAINT_NAME, TABLE_NAME FROM information_schema.TABLE_CONSTRAINTS \
                      WHERE CONSTRAINT_TYPE = 'FOREIGN KEY' AND";

/// What is in the way of foreign keys of a table that is to be made.
pub(super) fn taken(table: &Table, held: &Held) -> Vec<Finding> {
    let keys = table.foreign_keys.iter().filter(|key| !key.parent_columns.is_empty());
    let names = keys.filter_map(|key| name_of(&create::foreign_key(table, key)));
    let holder = |name: &String| held.get(&(table.name.schema.clone(), name.to_lowercase()));
    let both = names.filter_map(|name| holder(&name).map(|holder| (name, holder)));
    both.map(|(name, holder)| {
        let finding = Finding::new(Severity::Blocking, table.name.to_string(), text_of(&name, holder));
        finding.mend(mend(&name, holder))
    })
    .collect()
}

fn text_of(name: &str, holder: &TableName) -> String {
    format!("its foreign key `{name}` cannot be made: {holder} of the target has one of that name")
}

fn mend(name: &str, holder: &TableName) -> String {
    format!("ALTER TABLE {} DROP FOREIGN KEY {}", text::table(holder), quote(name))
}

/// `CONSTRAINT `c` FOREIGN KEY …`
fn name_of(key: &str) -> Option<String> {
    let quoted = key.strip_prefix("CONSTRAINT `")?;
    let (name, _) = quoted.split_once("` FOREIGN KEY")?;
    Some(name.replace("``", "`"))
}

/// Whether a foreign key was refused for its name, which MariaDB tells as an error of its storage.
pub(super) fn is_taken(failure: &mysql_async::Error) -> bool {
    match failure {
        mysql_async::Error::Server(error) => {
            matches!(error.code, 1022 | 1823 | 1826) || (error.code == 1005 && error.message.contains("errno: 121"))
        }
        _ => false,
    }
}

/// What that means: `Ok` where it is there already, an answer being lost.
pub(super) async fn told(
    session: &mut Session,
    table: &TableName,
    key: &str,
    failure: mysql_async::Error,
) -> Result<()> {
    let name = name_of(key).unwrap_or_default();
    let sql =
        format!("{SELECT} CONSTRAINT_SCHEMA = {} AND CONSTRAINT_NAME = {}", literal(&table.schema), literal(&name));
    let rows = session.rows(sql).await.map_err(|failure| failure::error(failure, "looking for a foreign key"))?;
    let holder = rows.into_iter().next().map(|row| {
        let [_, holder] = strings(row);
        TableName::new(&table.schema, holder)
    });
    match holder {
        Some(holder) if holder == *table => Ok(()),
        Some(holder) => Err(Error::config(format!("{table}: {}", text_of(&name, &holder)))
            .because(failure)
            .hint(format!("run at the target: {}", mend(&name, &holder)))),
        None => Err(Error::config(format!("{table}: its foreign key `{name}` cannot be made: another has its name"))
            .because(failure)
            .hint(format!("find it at the target, and drop it: {SELECT} CONSTRAINT_NAME = {}", literal(&name)))),
    }
}

/// Those that a table to be made may meet, by database.
pub(super) fn schemas<'t>(tables: impl Iterator<Item = &'t Table>) -> BTreeSet<&'t str> {
    tables.filter(|table| !table.foreign_keys.is_empty()).map(|table| table.name.schema.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_from_its_line() {
        assert_eq!(name_of("CONSTRAINT `a``b` FOREIGN KEY (`x`) REFERENCES `p` (`id`)").as_deref(), Some("a`b"));
        assert_eq!(name_of("FOREIGN KEY (`x`) REFERENCES `p` (`id`)"), None);
    }
}
