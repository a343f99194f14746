//! Which columns a schema-free table has for a target that wants columns.

use crate::{
    error::{Error, Result},
    model::{Column, SourceSpec, Table, Type},
};
use std::sync::Arc;

/// A table of the source, and the same with columns for its named fields.
#[derive(Clone)]
pub struct Flat {
    pub source: Arc<Table>,
    pub table: Arc<Table>,
    /// The last column takes what has no column of its own.
    pub has_rest: bool,
}

impl Flat {
    /// `None`: the table has columns already.
    pub fn of(table: &Arc<Table>, spec: &SourceSpec) -> Result<Option<Flat>> {
        let Some(known) = &table.beyond else { return Ok(None) };
        let name = format!("{}.{}", table.name.schema, table.name.name);
        let declared = match spec.columns.get(&name) {
            Some(declared) => declared.iter().map(|text| column(&name, text)).collect::<Result<_>>()?,
            None => known.clone(),
        };
        let has_rest = !spec.rest.is_empty();
        let rest = has_rest.then(|| Column::new(&spec.rest, Type::Json));
        let mut flat = Table::clone(table);
        flat.beyond = None;
        flat.definition = None;
        for column in declared.into_iter().chain(rest) {
            if flat.column(&column.name).is_some() {
                let error = format!("{name}: two columns are called `{}`", column.name);
                return Err(Error::config(error).hint("give `source.rest` or the columns other names"));
            }
            flat.columns.push(column);
        }
        Ok(Some(Flat { source: Arc::clone(table), table: Arc::new(flat), has_rest }))
    }
}

/// `price double`.
fn column(table: &str, text: &str) -> Result<Column> {
    let kind = |word: &str| {
        Some(match word {
            "text" => Type::Text,
            "int" => Type::Int,
            "double" => Type::Float64,
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "json" => Type::Json,
            _ => return None,
        })
    };
    let read = text.rsplit_once(' ').and_then(|(name, word)| Some((name.trim(), kind(word)?)));
    read.filter(|(name, _)| !name.is_empty()).map(|(name, kind)| Column::new(name, kind)).ok_or_else(|| {
        Error::config(format!("source.columns: {table}: `{text}` is not a column and its type"))
            .hint("write for example `price double`; types are text, int, double, bool, bytes and json (any value)")
    })
}

/// That every column of the job file can be read.
pub fn check(spec: &SourceSpec) -> Result<()> {
    for (table, columns) in &spec.columns {
        if !table.contains('.') {
            return Err(Error::config(format!("source.columns: `{table}` is not of the form schema.table"))
                .hint(format!("write `main.{table}`")));
        }
        columns.iter().try_for_each(|text| column(table, text).map(drop))?;
    }
    Ok(())
}
