//! One row of a schema-free table as a row with columns.

use super::shape::Flat;
use crate::{
    error::{Error, Result},
    model::{Cell, Field, Key, RowBuilder, RowRef, Type, ValueRef},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The newest version of each field, in the order of their names.
fn newest<'a>(row: RowRef<'a>) -> BTreeMap<&'a str, Cell<'a>> {
    let mut newest: BTreeMap<&str, Cell<'_>> = BTreeMap::new();
    for cell in row.cells() {
        let older = |known: &Cell<'_>| known.stamp.written >= cell.stamp.written;
        if !newest.get(cell.name).is_some_and(older) {
            newest.insert(cell.name, cell);
        }
    }
    newest
}

/// Writes the whole row `row` of `flat.source` as a row of `flat.table`.
pub fn write(flat: &Flat, row: RowRef<'_>, slab: &mut Vec<u8>) -> Result<u32> {
    let named = row.len();
    let mut cells = newest(row);
    let mut builder = RowBuilder::new(slab);
    for field in row.fields() {
        builder.field(field);
    }
    let columns = &flat.table.columns[named..];
    let (declared, rest) = columns.split_at(columns.len() - usize::from(flat.has_rest));
    for column in declared {
        let value = match cells.remove(column.name.as_str()).map(|cell| cell.field) {
            Some(Field::Value(value)) => value,
            _ => ValueRef::Null,
        };
        match (column.kind, value) {
            (_, ValueRef::Null) => builder.value(ValueRef::Null),
            (Type::Json, value) => builder.value(ValueRef::Json(&json_of(value).to_string())),
            (kind, value) if kind_of(value) == Some(kind) => builder.value(value),
            (kind, value) => {
                let is = kind_of(value).map_or("another".to_owned(), word);
                let text = format!("field `{}` is {is}, and its column is declared {}", column.name, word(kind));
                let hint =
                    format!("declare it under `source.columns` as `{} json`, which takes any value", column.name);
                return Err(refused(flat, row, &text).hint(hint));
            }
        };
    }
    if let Some(other) = cells.keys().next().filter(|_| !flat.has_rest) {
        let hint = "declare it under `source.columns`, or name a column for the rest under `source.rest`";
        return Err(refused(flat, row, &format!("field `{other}` has no column")).hint(hint));
    }
    if !rest.is_empty() {
        let all: Map<String, Json> = cells
            .into_iter()
            .filter_map(|(name, cell)| Some((name.to_owned(), json_of(cell.field.value()?))))
            .collect();
        match all.is_empty() {
            true => builder.value(ValueRef::Null),
            false => builder.value(ValueRef::Json(&Json::Object(all).to_string())),
        };
    }
    Ok(builder.finish())
}

/// The key's fields and nothing else.
pub fn write_key(flat: &Flat, row: RowRef<'_>, slab: &mut Vec<u8>) -> u32 {
    let mut builder = RowBuilder::new(slab);
    for field in row.fields() {
        builder.field(field);
    }
    for _ in row.len()..flat.table.columns.len() {
        builder.unset();
    }
    builder.finish()
}

fn refused(flat: &Flat, row: RowRef<'_>, text: &str) -> Error {
    let key = Key::of(&flat.source, row).map(|key| key.row().to_values());
    let key: Vec<String> = key.unwrap_or_default().into_iter().flatten().map(|value| format!("{value:?}")).collect();
    Error::refused(format!("{}: row ({}): {text}", flat.table.name, key.join(", ")))
}

fn kind_of(value: ValueRef<'_>) -> Option<Type> {
    Some(match value {
        ValueRef::Bool(_) => Type::Bool,
        ValueRef::Int(_) => Type::Int,
        ValueRef::Float64(_) => Type::Float64,
        ValueRef::Text(_) => Type::Text,
        ValueRef::Bytes(_) => Type::Bytes,
        _ => return None,
    })
}

fn word(kind: Type) -> String {
    match kind {
        Type::Float64 => "double".to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}

/// What JSON has no word for is an object of one field with a dollar: `{"$bytes": "AP8="}`, `{"$double": "NaN"}`.
fn json_of(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Bool(value) => json!(value),
        ValueRef::Int(value) => json!(value),
        ValueRef::Unsigned(value) => json!(value),
        ValueRef::Float64(value) if value.is_finite() => json!(value),
        ValueRef::Float64(value) => json!({"$double": value.to_string()}),
        ValueRef::Text(value) => json!(value),
        ValueRef::Bytes(value) => json!({"$bytes": STANDARD.encode(value)}),
        other => json!({"$other": format!("{:?}", other.to_owned())}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, SourceSpec, Stamp, Table, TableName, default_rest};
    use std::sync::Arc;

    fn flat(columns: &[&str], rest: &str) -> Flat {
        let table = Table {
            beyond: Some(vec![Column::new("declared", Type::Int)]),
            ..Table::new(TableName::new("main", "t"), vec![Column::new("k", Type::Int)], vec![0])
        };
        let columns: Vec<String> = columns.iter().map(|&text| text.to_owned()).collect();
        let columns = if columns.is_empty() { [].into() } else { [("main.t".to_owned(), columns)].into() };
        let spec = SourceSpec { columns, rest: rest.into(), ..SourceSpec::new("a") };
        Flat::of(&Arc::new(table), &spec).expect("good columns").expect("schema-free")
    }

    fn flattened(flat: &Flat, cells: &[(&str, i64, ValueRef<'_>)]) -> Result<Vec<String>> {
        let mut slab = Vec::new();
        let mut row = RowBuilder::new(&mut slab);
        row.value(ValueRef::Int(1));
        for &(name, written, value) in cells {
            let stamp = Stamp::written(written);
            row.cell(Cell { name, field: Field::Value(value), stamp, one_version: false });
        }
        let place = row.finish();
        let mut out = Vec::new();
        let place = write(flat, RowRef::new(&slab, place), &mut out)?;
        Ok(RowRef::new(&out, place)
            .fields()
            .map(|field| format!("{:?}", field.value().expect("set").to_owned()))
            .collect())
    }

    #[test]
    fn a_row_has_its_newest_versions_and_the_rest_as_json() {
        let cells = [
            ("b", 1, ValueRef::Bytes(&[0, 255])),
            ("declared", 2, ValueRef::Int(20)),
            ("declared", 3, ValueRef::Int(30)),
            ("declared", 1, ValueRef::Int(10)),
            ("x", 1, ValueRef::Float64(1.0)),
        ];
        let row = flattened(&flat(&[], &default_rest()), &cells).expect("fits");
        assert_eq!(row, ["Int(1)", "Int(30)", "Json(\"{\\\"b\\\":{\\\"$bytes\\\":\\\"AP8=\\\"},\\\"x\\\":1.0}\")"]);
        let row = flattened(&flat(&[], &default_rest()), &[]).expect("fits");
        assert_eq!(row, ["Int(1)", "Null", "Null"]);
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_no_other_value() {
        let error = flattened(&flat(&["x int"], "rest"), &[("x", 1, ValueRef::Text("a"))]).expect_err("text is no int");
        assert!(
            error.to_string().contains("row (Int(1)): field `x` is text, and its column is declared int"),
            "{error}"
        );
        let row = flattened(&flat(&["x json"], "rest"), &[("x", 1, ValueRef::Text("a"))]).expect("any value");
        assert_eq!(row, ["Int(1)", "Json(\"\\\"a\\\"\")", "Null"]);
        let error = flattened(&flat(&["x int"], ""), &[("y", 1, ValueRef::Int(1))]).expect_err("no column");
        assert!(error.to_string().contains("field `y` has no column"), "{error}");
    }
}
