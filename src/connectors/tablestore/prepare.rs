//! Tables of a target: made, or found fit.

use super::{
    catalog::{At, Catalog},
    config::Config,
    failure::code,
    messages::error::CapacityUnit,
    messages::table::{
        CreateTableRequest, DefinedColumnSchema, KeyType, PrimaryKeySchema, ReservedThroughput, TableMeta, TableOptions,
    },
    shape::{Definition, Shape},
    watermark,
};
use crate::{
    error::{Error, Result},
    model::{Column, Table, Type},
    target::Prepared,
};
use std::sync::Arc;

const KEY_COLUMNS: usize = 4;
const NAME_BYTES: usize = 255;

/// Times as old as the source's are taken.
const ANY_TIME_S: i64 = 100 * 365 * 86_400;

pub(super) async fn prepare(catalog: &Catalog, config: &Config, table: &Arc<Table>) -> Result<(Arc<Shape>, Prepared)> {
    let name = &table.name.name;
    let (shape, made) = match catalog.look(name).await? {
        Some(shape) => (shape, false),
        None => (make(catalog, config, table).await?, true),
    };
    fits(table, &shape).map_err(|error| error.at(&table.name))?;
    let has_rows = !made && has_rows(catalog, &shape).await?;
    Ok((shape, Prepared { has_rows, stale: false }))
}

pub(super) async fn has_rows(catalog: &Catalog, shape: &Shape) -> Result<bool> {
    let names: Vec<&str> = shape.table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut request = watermark::all(&shape.table.name.name, &names, 1);
    loop {
        let page = catalog.client.get_range(&request).await.at(&format!("looking for rows in {}", shape.table.name))?;
        if !page.block.is_empty() {
            return Ok(true);
        }
        match page.next_start {
            Some(next) => request.start = next,
            None => return Ok(false),
        }
    }
}

async fn make(catalog: &Catalog, config: &Config, table: &Table) -> Result<Arc<Shape>> {
    let keys: Vec<PrimaryKeySchema> = table
        .key
        .iter()
        .map(|&column| {
            let column = &table.columns[column];
            Ok(PrimaryKeySchema { name: column.name.clone(), r#type: key_type(column)? as i32, option: None })
        })
        .collect::<Result<_>>()?;
    names(table)?;
    let like = Definition::read(table);
    let keeps = config.keeps_times || like.versions > 1 || like.time_to_live_s > 0;
    let request = CreateTableRequest {
        table_meta: TableMeta {
            table_name: table.name.name.clone(),
            primary_key: keys,
            defined_column: like
                .defined
                .iter()
                .map(|(name, kind)| DefinedColumnSchema { name: name.clone(), r#type: *kind })
                .collect(),
            ..TableMeta::default()
        },
        reserved_throughput: ReservedThroughput { unit: CapacityUnit { read: Some(0), write: Some(0) } },
        table_options: Some(TableOptions {
            max_versions: Some(like.versions.max(1)),
            time_to_live_s: Some(like.time_to_live_s),
            deviation_cell_version_s: keeps.then_some(ANY_TIME_S),
            allow_update: like.allow_update,
            ..TableOptions::default()
        }),
        ..CreateTableRequest::default()
    };
    match catalog.client.create_table(&request).await {
        Err(failure) if failure.code() == Some(code::EXISTS) => {}
        made => made.at(&format!("making the table {}", table.name))?,
    }
    let key: Vec<&str> = table.key.iter().map(|&column| table.columns[column].name.as_str()).collect();
    watermark::ready(&catalog.client, &table.name.name, &key).await?;
    let shape = catalog.look(&table.name.name).await?;
    shape.ok_or_else(|| Error::transient(format!("{}: the table was made and is gone", table.name)))
}

/// The type of a key's column for values of the source's.
pub(super) fn key_type(column: &Column) -> Result<KeyType> {
    Ok(match column.kind {
        Type::Int | Type::Unsigned | Type::Bool => KeyType::Integer,
        Type::Bytes | Type::Native => KeyType::Binary,
        Type::Text
        | Type::Decimal
        | Type::Date
        | Type::Time
        | Type::DateTime
        | Type::Instant
        | Type::Interval
        | Type::Uuid
        | Type::Json => KeyType::String,
        kind => {
            return Err(Error::config(format!(
                "`{}` of the key is a {kind:?}, which no Tablestore key is",
                column.name
            ))
            .hint("leave the table out, or give it a key of numbers, texts or bytes at the source"));
        }
    })
}

/// Names that the service takes.
pub(super) fn names(table: &Table) -> Result<()> {
    let all = table.columns.iter().map(|column| &column.name).chain([&table.name.name]);
    let is_name = |name: &&String| {
        let mut letters = name.bytes();
        name.len() <= NAME_BYTES
            && letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(name) = all.into_iter().find(|name| !is_name(name)) {
        return Err(Error::config(format!("`{name}`: Tablestore takes names of letters, digits and `_`"))
            .hint("rename the table under `source.rename`, or leave it out; a column is renamed at the source"));
    }
    Ok(())
}

/// Whether rows of `table` can be rows of what is there.
pub(super) fn fits(table: &Table, shape: &Shape) -> Result<()> {
    if table.key.len() > KEY_COLUMNS {
        return Err(Error::config(format!(
            "its key has {} columns, and Tablestore takes {KEY_COLUMNS}",
            table.key.len()
        ))
        .hint("leave the table out"));
    }
    let wanted: Vec<(&str, KeyType)> = table
        .key
        .iter()
        .map(|&column| Ok((table.columns[column].name.as_str(), key_type(&table.columns[column])?)))
        .collect::<Result<_>>()?;
    let there: Vec<(&str, KeyType)> = shape
        .table
        .columns
        .iter()
        .map(|column| Ok((column.name.as_str(), key_type(column)?)))
        .collect::<Result<_>>()?;
    if wanted != there {
        let shown = |key: &[(&str, KeyType)]| {
            key.iter().map(|(name, kind)| format!("{name} {kind:?}")).collect::<Vec<_>>().join(", ")
        };
        return Err(Error::config(format!(
            "the target's table has the key ({}), and the source's rows have ({})",
            shown(&there),
            shown(&wanted)
        ))
        .hint("write into another table (`source.rename`), or drop this one: it is made as it must be"));
    }
    if let Some(numbered) = shape.numbered {
        return Err(Error::config(format!(
            "`{}` of the target's key is numbered by the service: rows would get other keys",
            shape.table.columns[numbered].name
        ))
        .hint("drop the target's table: it is made with a plain column"));
    }
    Ok(())
}
