//! Shapes from the server's catalogue: columns, keys, unique indexes, foreign keys with their actions.

use super::{
    collations,
    connect::Session,
    decode,
    definition::{self, Definition, Line},
    failure::{self, Answer},
    foreign, grants,
    indexes::{self, Index},
    server::Family,
    text::{self, literal, quote},
    types::Native,
};
use crate::{
    error::{Error, Result},
    model::{Column, Equality, Finding, ForeignKey, Severity, Table, TableName, Type, without},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A table is read anew when it changes while it is being read.
const TRIES: usize = 5;
const UNSETTLED: &str = "its columns are others than those of `SHOW CREATE TABLE`: it is altered all the time, or the \
                         account may not read all of them";

/// The server's own databases.
const SYSTEM: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";

/// A table as we read it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub table: Arc<Table>,
    /// Of the table's columns, in order.
    pub natives: Vec<Native>,
    /// The key's columns as their index keeps them; empty without a key.
    pub terms: Vec<Term>,
    /// The index that holds the key, if the server may be told to walk it.
    pub index: Option<String>,
    /// When it was made or last altered, as far as the server notes that: seconds since 1970.
    pub altered: u64,
    pub engine: String,
    /// How many more columns the log may show than the catalogue, behind all others (`Index::is_hashed`).
    pub hashes: usize,
}

/// One column of the key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// Into the table's columns.
    pub column: usize,
    pub descending: bool,
}

impl Shape {
    /// What a query asks for, in the order of the columns.
    pub fn column_list(&self) -> String {
        let columns = self.table.columns.iter().zip(&self.natives);
        columns.map(|(column, native)| decode::expression(&quote(&column.name), native)).collect::<Vec<_>>().join(", ")
    }

    /// The same for the key alone, in key order.
    pub fn key_list(&self) -> String {
        let one = |&column: &usize| decode::expression(&quote(&self.table.columns[column].name), &self.natives[column]);
        self.table.key.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// All tables of a database (`None`: of all but the server's own), and why others are not carried.
pub(super) async fn list(session: &mut Session, database: Option<&str>) -> Answer<(Vec<Shape>, Vec<Finding>)> {
    let filter = match database {
        Some(name) => format!("TABLE_SCHEMA = {}", literal(name)),
        None => format!("TABLE_SCHEMA NOT IN ({SYSTEM})"),
    };
    let Listed { mut shapes, mut findings, torn, denied } = read_all(session, &filter).await?;
    for name in torn {
        match read_one(session, &name).await {
            Ok(One::Shape(shape)) => shapes.push(*shape),
            Ok(One::Uncarried(why)) => findings.push(uncarried(&name, Severity::Blocking, why)),
            Ok(One::Nothing) => {}
            Err(mysql_async::Error::Other(_)) => {
                let finding = uncarried(&name, Severity::Blocking, UNSETTLED.to_owned());
                findings.push(finding.mend(grants::to_read(session, &name).await?));
            }
            Err(failure) => return Err(failure),
        }
    }
    for (name, _) in denied {
        findings.push(unreadable(session, &name).await?);
    }
    let seen = shapes.iter().map(|shape| shape.table.name.schema.as_str());
    findings.extend(grants::partial(session, &database.into_iter().chain(seen).collect()).await?);
    shapes.sort_by(|a, b| a.table.name.cmp(&b.table.name));
    Ok((shapes, findings))
}

/// Of a table that the account sees and may not read, or not all of it.
pub(super) async fn unreadable(session: &mut Session, name: &TableName) -> Answer<Finding> {
    let finding = Finding::new(Severity::Blocking, name.to_string(), "the account may not read it (SELECT)");
    Ok(finding.mend(grants::to_read(session, name).await?))
}

struct Catalogue {
    columns: BTreeMap<TableName, Vec<Column>>,
    indexes: BTreeMap<TableName, Vec<Index>>,
}

impl Catalogue {
    async fn read(session: &mut Session, filter: &str) -> Answer<Catalogue> {
        let columns = columns(session, filter).await?;
        Ok(Catalogue { columns, indexes: indexes::read(session, filter).await? })
    }

    fn is_same(&self, other: &Catalogue, name: &TableName) -> bool {
        self.columns.get(name) == other.columns.get(name) && self.indexes.get(name) == other.indexes.get(name)
    }
}

/// What was read of several tables.
#[derive(Default)]
struct Listed {
    shapes: Vec<Shape>,
    findings: Vec<Finding>,
    /// The catalogue takes several queries, and a statement for each table: these were altered meanwhile.
    torn: Vec<TableName>,
    /// Those that the account may not read.
    denied: Vec<(TableName, mysql_async::Error)>,
}

/// Of these tables those that are there, each few in one question.
pub(super) async fn read_many(session: &mut Session, tables: &[Arc<Table>]) -> Result<BTreeMap<TableName, Shape>> {
    const AT_ONCE: usize = 100;
    let mut found = BTreeMap::new();
    for some in tables.chunks(AT_ONCE) {
        let pair = |table: &Arc<Table>| format!("({},{})", literal(&table.name.schema), literal(&table.name.name));
        let pairs: Vec<String> = some.iter().map(pair).collect();
        // Both alone as well: without them the server opens all that it has.
        let alone = |part: fn(&Table) -> &str| {
            some.iter()
                .map(|table| literal(part(table)))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(",")
        };
        let filter = format!(
            "TABLE_SCHEMA IN ({}) AND TABLE_NAME IN ({}) AND (TABLE_SCHEMA, TABLE_NAME) IN ({})",
            alone(|table| &table.name.schema),
            alone(|table| &table.name.name),
            pairs.join(",")
        );
        let listed = read_all(session, &filter).await.map_err(|failure| failure::error(failure, "reading tables"))?;
        found.extend(listed.shapes.into_iter().map(|shape| (shape.table.name.clone(), shape)));
        // What is not as it should be is looked at by itself.
        let is_odd = |name: &TableName| {
            let blocks =
                |finding: &Finding| finding.severity == Severity::Blocking && finding.subject == name.to_string();
            let is_denied = listed.denied.iter().any(|(denied, _)| denied == name);
            is_denied || listed.torn.contains(name) || listed.findings.iter().any(blocks)
        };
        for table in some.iter().filter(|table| is_odd(&table.name)) {
            if let Some(shape) = read(session, &table.name).await? {
                found.insert(table.name.clone(), shape);
            }
        }
    }
    Ok(found)
}

/// One table; `None`: there is no such table. One that cannot be carried or read is an error, not nothing.
pub(super) async fn read(session: &mut Session, name: &TableName) -> Result<Option<Shape>> {
    match read_one(session, name).await.map_err(|failure| failure::error(failure, "reading a table"))? {
        One::Shape(shape) => Ok(Some(*shape)),
        One::Nothing => Ok(None),
        One::Uncarried(why) => {
            Err(Error::config(format!("{name}: {why}")).hint(format!("leave it out of the job: tables: [\"!{name}\"]")))
        }
    }
}

enum One {
    Shape(Box<Shape>),
    Nothing,
    /// It holds rows, and why we do not.
    Uncarried(String),
}

async fn read_one(session: &mut Session, name: &TableName) -> Answer<One> {
    let filter = format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(&name.schema), literal(&name.name));
    for _ in 0..TRIES {
        let mut listed = read_all(session, &filter).await?;
        if let Some((_, failure)) = listed.denied.pop() {
            return Err(failure);
        }
        if listed.torn.is_empty() {
            let shape = listed.shapes.into_iter().find(|shape| shape.table.name == *name);
            let why = listed.findings.into_iter().find(|finding| finding.severity == Severity::Blocking);
            return Ok(match (shape, why) {
                (Some(shape), _) => One::Shape(Box::new(shape)),
                (None, Some(why)) => One::Uncarried(why.text),
                (None, None) => One::Nothing,
            });
        }
    }
    Err(mysql_async::Error::Other(UNSETTLED.into()))
}

/// What `SHOW CREATE TABLE` says, without the counter that every insert moves. `None`: there is no such table.
pub(super) async fn statement(session: &mut Session, name: &TableName) -> Answer<Option<String>> {
    let shown = match session.rows(format!("SHOW CREATE TABLE {}", text::table(name))).await {
        Err(failure) if Session::is_no_table(&failure) => return Ok(None),
        shown => shown?,
    };
    let statement = shown.into_iter().next().and_then(|row| row.into_iter().nth(1)).flatten();
    Ok(statement.map(|statement| without_counter(&statement)))
}

async fn read_all(session: &mut Session, filter: &str) -> Answer<Listed> {
    let known = Catalogue::read(session, filter).await?;
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), UNIX_TIMESTAMP(CREATE_TIME) \
         FROM information_schema.TABLES WHERE {filter} ORDER BY TABLE_SCHEMA, TABLE_NAME"
    );
    let tables = session.rows(sql).await?;
    let mut listed = Listed::default();
    let mut all = Vec::new();
    for table in tables {
        let [schema, name, kind, engine, altered] = strings(table);
        let name = TableName::new(schema, name);
        if let Some((severity, why)) = not_carried(&kind) {
            listed.findings.push(uncarried(&name, severity, why.to_owned()));
            continue;
        }
        if name.name.starts_with("whimbrel_") {
            continue;
        }
        let definition = match statement(session, &name).await {
            Err(failure) if failure::is_denied(&failure) => {
                listed.denied.push((name, failure));
                continue;
            }
            definition => definition?,
        };
        let (Some(columns), Some(definition)) = (known.columns.get(&name), definition) else {
            continue; // Dropped this very moment.
        };
        let indexes = known.indexes.get(&name).cloned().unwrap_or_default();
        all.push((name, Made { columns: columns.clone(), indexes, definition }, engine, altered));
    }
    let after = Catalogue::read(session, filter).await?;
    for (name, made, engine, altered) in all {
        if !known.is_same(&after, &name) || !made.is_of_one_moment() {
            listed.torn.push(name);
            continue;
        }
        match made.shape(name.clone(), session.server.family, altered.parse().unwrap_or(0), engine) {
            Ok(shape) => listed.shapes.push(shape),
            Err(why) => listed.findings.push(uncarried(&name, Severity::Blocking, why)),
        }
    }
    Ok(listed)
}

fn not_carried(kind: &str) -> Option<(Severity, &'static str)> {
    Some(match kind {
        "BASE TABLE" => return None,
        "VIEW" => (Severity::Info, "a view is not carried: it has no rows of its own; create it at the target by hand"),
        "SEQUENCE" => {
            (Severity::Info, "a sequence is not carried: create it at the target by hand, beyond its value here")
        }
        "SYSTEM VERSIONED" => {
            (Severity::Blocking, "a system-versioned table is not carried: its history cannot be written elsewhere")
        }
        _ => (Severity::Info, "it is no table that holds rows"),
    })
}

/// Why a table is left out; where it has rows that nobody else would carry, a job that selects it does not start.
fn uncarried(name: &TableName, severity: Severity, why: String) -> Finding {
    let finding = Finding::new(severity, name.to_string(), why);
    match severity {
        Severity::Blocking => finding.mend(without(name)),
        _ => finding,
    }
}

/// What the catalogue says of one table.
struct Made {
    columns: Vec<Column>,
    indexes: Vec<Index>,
    definition: String,
}

impl Made {
    /// The statement has the columns that the catalogue has, in their order.
    fn is_of_one_moment(&self) -> bool {
        let Some(definition) = Definition::read(&self.definition) else { return true };
        let stated = definition.lines.iter().filter_map(|line| match definition::kind(line) {
            Line::Column(name) => Some(name),
            _ => None,
        });
        stated.eq(self.columns.iter().map(|column| quote(&column.name)))
    }

    fn shape(self, name: TableName, family: Family, altered: u64, engine: String) -> Result<Shape, String> {
        let native = |column: &Column| {
            let unknown = || format!("column `{}` has the type `{}`, which is not known", column.name, column.declared);
            Native::of(&column.declared).ok_or_else(unknown)
        };
        let natives = self.columns.iter().map(native).collect::<Result<Vec<_>, _>>()?;
        let place = |name: &str| self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let key = indexes::key(&self.indexes, &self.columns, &self.definition);
        let terms: Vec<Term> = key.map(|index| index.terms(&self.columns)).unwrap_or_default();
        let uniques = self.indexes.iter().filter(|index| index.unique && key.is_none_or(|key| key.name != index.name));
        let uniques = uniques.map(|index| index.unique(&name, &self.columns, &self.definition)).collect();
        let hashes = self.indexes.iter().filter(|index| index.is_hashed()).count();
        let stated = Definition::read(&self.definition);
        let stated = stated.and_then(|definition| foreign::of(&definition, &name.schema, family));
        let stated = stated.ok_or("its foreign keys cannot be read from `SHOW CREATE TABLE`")?;
        let foreign_keys = stated.iter().map(|foreign| ForeignKey {
            columns: foreign.columns.iter().filter_map(|column| place(column)).collect(),
            parent: foreign.parent.clone(),
            parent_columns: foreign.parent_columns.clone(),
            on_delete: foreign.on_delete,
            on_update: foreign.on_update,
        });
        let foreign_keys = foreign_keys.collect();
        let index = key.filter(|index| index.is_walkable()).map(|index| index.name.clone());
        let key = terms.iter().map(|term| term.column).collect();
        let table = Table {
            name,
            version: 0,
            columns: self.columns,
            key,
            uniques,
            foreign_keys,
            family: family.name().to_owned(),
            definition: Some(self.definition),
            beyond: None,
        };
        Ok(Shape { table: Arc::new(table), natives, terms, index, altered, engine, hashes })
    }
}

async fn columns(session: &mut Session, filter: &str) -> Answer<BTreeMap<TableName, Vec<Column>>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, EXTRA, CHARACTER_SET_NAME, \
         COLLATION_NAME FROM information_schema.COLUMNS WHERE {filter} \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
    );
    let mut columns: BTreeMap<TableName, Vec<Column>> = BTreeMap::new();
    for row in session.rows(sql).await? {
        let [schema, table, name, mut declared, nullable, extra, charset, collation] = strings(row);
        if !charset.is_empty() {
            declared = format!("{declared} CHARACTER SET {charset} COLLATE {collation}");
        }
        let extra = extra.to_ascii_uppercase();
        let column = Column {
            kind: Native::of(&declared).map_or(Type::Native, |native| native.kind()),
            equality: equality(&declared, &collation),
            nullable: nullable == "YES",
            // `DEFAULT_GENERATED` only says that the default is an expression.
            generated: extra.replace("DEFAULT_GENERATED", "").contains("GENERATED")
                || extra.split(' ').any(|word| matches!(word, "VIRTUAL" | "PERSISTENT")),
            name,
            declared,
        };
        columns.entry(TableName::new(schema, table)).or_default().push(column);
    }
    Ok(columns)
}

/// Labels are told apart by their number. Padded collations take 'a' and 'a ' for equal, also the binary ones.
pub(super) fn equality(declared: &str, collation: &str) -> Equality {
    let labelled = declared.starts_with("enum") || declared.starts_with("set");
    let exact = matches!(collation, "" | "binary" | "utf8mb4_0900_bin") || collation.ends_with("_nopad_bin");
    match (labelled || exact, collations::is_tailored(collation)) {
        (true, _) => Equality::Exact,
        (false, true) => Equality::Tailored,
        (false, false) => Equality::Coarse,
    }
}

/// The values of a catalogue's row, NULL as an empty text.
pub(super) fn strings<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut values = row.into_iter();
    std::array::from_fn(|_| values.next().flatten().unwrap_or_default())
}

/// `) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT …` without the counter.
fn without_counter(statement: &str) -> String {
    const COUNTER: &str = " AUTO_INCREMENT=";
    let options = statement.rfind("\n) ").unwrap_or(0);
    let Some(start) = statement[options..].find(COUNTER).map(|at| options + at) else { return statement.to_owned() };
    if statement[options..start].contains(" COMMENT=") {
        return statement.to_owned();
    }
    let rest = &statement[start + COUNTER.len()..];
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}{rest}", &statement[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_no_part_of_a_shape() {
        let with =
            "CREATE TABLE `t` (\n  `a` int COMMENT ' AUTO_INCREMENT=3'\n) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT";
        let without = "CREATE TABLE `t` (\n  `a` int COMMENT ' AUTO_INCREMENT=3'\n) ENGINE=InnoDB DEFAULT";
        assert_eq!(without_counter(with), without);
        assert_eq!(without_counter(without), without);
        let comment = "CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB COMMENT='x AUTO_INCREMENT=17'";
        assert_eq!(without_counter(comment), comment);
    }

    #[test]
    fn equal_means_what_the_collation_says() {
        assert_eq!(equality("varchar(3)", "utf8mb4_bin"), Equality::Coarse);
        assert_eq!(equality("varchar(3)", "utf8mb4_nopad_bin"), Equality::Exact);
        assert_eq!(equality("enum('a')", "latin1_swedish_ci"), Equality::Exact);
        assert_eq!(equality("int(11)", ""), Equality::Exact);
    }
}
