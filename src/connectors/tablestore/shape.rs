//! A table as the service describes it, and as the engine knows it: columns are the key's, the rest are named fields.

use super::messages::table::{
    ColumnType, DescribeTableResponse, KeyOption, KeyType, PrimaryKeySchema, StreamDetails, TableMeta, TableOptions,
};
use crate::model::{Column, Table, TableName, Type};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An instance has one name space; its tables are `main.NAME`, as those of a file.
pub(super) const SCHEMA: &str = "main";

pub(super) const FAMILY: &str = "tablestore";

#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub table: Arc<Table>,
    pub options: TableOptions,
    pub stream: Option<StreamDetails>,
    /// The column of the key that the service numbers.
    pub numbered: Option<usize>,
    /// Tables that hold the rows in another order; they have names of their own in lists.
    pub indexes: Vec<String>,
}

impl Shape {
    /// `Err`: why the table cannot be carried.
    pub fn of(meta: TableMeta, options: TableOptions, answer: DescribeTableResponse) -> Result<Shape, String> {
        let mut columns = Vec::new();
        for key in &meta.primary_key {
            columns.push(key_column(key)?);
        }
        let key = (0..columns.len()).collect();
        let declared = meta.defined_column.iter().filter_map(|column| {
            Some(Column { declared: String::new(), ..Column::new(&column.name, kind(column.r#type)?) })
        });
        let mut table = Table::new(TableName::new(SCHEMA, &meta.table_name), columns, key);
        table.beyond = Some(declared.collect());
        table.family = FAMILY.to_owned();
        table.definition = Some(Definition::of(&meta, &options).to_text());
        let is_numbered = |key: &PrimaryKeySchema| key.option == Some(KeyOption::AutoIncrement as i32);
        Ok(Shape {
            table: Arc::new(table),
            numbered: meta.primary_key.iter().position(is_numbered),
            indexes: meta.index_meta.iter().chain(&answer.index_metas).map(|index| index.name.clone()).collect(),
            stream: answer.stream_details,
            options,
        })
    }

    /// As a table is made for rows of `table`.
    pub fn wanted(table: &Table) -> Shape {
        let mut wanted = Table::new(table.name.clone(), Vec::new(), Vec::new());
        wanted.columns = table.key.iter().map(|&column| table.columns[column].clone()).collect();
        wanted.key = (0..wanted.columns.len()).collect();
        Shape {
            table: Arc::new(wanted),
            options: TableOptions::default(),
            stream: None,
            numbered: None,
            indexes: Vec::new(),
        }
    }

    /// The stream that is on.
    pub fn stream_id(&self) -> Option<&str> {
        let stream = self.stream.as_ref().filter(|stream| stream.enable_stream)?;
        stream.stream_id.as_deref().filter(|id| !id.is_empty())
    }

    pub fn max_versions(&self) -> i32 {
        self.options.max_versions.unwrap_or(1).max(1)
    }

    /// Seconds after which a cell goes by itself.
    pub fn expires_after_s(&self) -> Option<i32> {
        self.options.time_to_live_s.filter(|seconds| *seconds > 0)
    }

    /// Rows may be changed in part.
    pub fn takes_updates(&self) -> bool {
        self.options.allow_update != Some(false) && self.options.update_full_row != Some(true)
    }
}

fn key_column(key: &PrimaryKeySchema) -> Result<Column, String> {
    let (kind, declared) = match KeyType::try_from(key.r#type) {
        Ok(KeyType::Integer) => (Type::Int, "INTEGER"),
        Ok(KeyType::String) => (Type::Text, "STRING"),
        Ok(KeyType::Binary) => (Type::Bytes, "BINARY"),
        Err(_) => return Err(format!("its key's column `{}` has the unknown type {}", key.name, key.r#type)),
    };
    Ok(Column { declared: declared.to_owned(), nullable: false, ..Column::new(&key.name, kind) })
}

fn kind(number: i32) -> Option<Type> {
    Some(match ColumnType::try_from(number).ok()? {
        ColumnType::Integer => Type::Int,
        ColumnType::Double => Type::Float64,
        ColumnType::Boolean => Type::Bool,
        ColumnType::String => Type::Text,
        ColumnType::Blob => Type::Bytes,
    })
}

/// What makes a table like this one, besides its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Definition {
    pub versions: i32,
    /// Seconds; -1: for ever.
    pub time_to_live_s: i32,
    pub allow_update: Option<bool>,
    pub defined: Vec<(String, i32)>,
}

impl Definition {
    fn of(meta: &TableMeta, options: &TableOptions) -> Definition {
        Definition {
            versions: options.max_versions.unwrap_or(1),
            time_to_live_s: options.time_to_live_s.unwrap_or(-1),
            allow_update: options.allow_update,
            defined: meta.defined_column.iter().map(|column| (column.name.clone(), column.r#type)).collect(),
        }
    }

    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    /// Of a table of this kind of store; else one version of each field, for ever.
    pub fn read(table: &Table) -> Definition {
        let plain = Definition { versions: 1, time_to_live_s: -1, ..Definition::default() };
        match (&table.definition, table.family.as_str()) {
            (Some(text), FAMILY) => serde_json::from_str(text).unwrap_or(plain),
            _ => plain,
        }
    }
}
