//! Rows by their keys, now.

use super::{
    catalog::{At, Catalog},
    limit::READ_ROWS,
    messages::row::{BatchGetRowRequest, GetRowRequest, TableInBatchGet},
    plainbuffer::{Row, Rows as Wire, encode},
    row,
    shape::Shape,
};
use crate::{
    error::Result,
    model::Place,
    source::{Fetched, Wanted},
};
use bytes::Bytes;
use std::sync::Arc;

pub(super) async fn fetch(catalog: &Catalog, wanted: &[Wanted], max_bytes: usize) -> Result<Vec<Fetched>> {
    let mut all = Vec::with_capacity(wanted.len());
    let mut room = max_bytes;
    for wanted in wanted {
        let name = &wanted.table.name;
        let Some(shape) = catalog.look(&name.name).await? else {
            all.push(Fetched { table: None, slab: Vec::new(), rows: vec![None; wanted.keys.len()] });
            continue;
        };
        let mut fetched = Fetched { table: Some(Arc::clone(&shape.table)), slab: Vec::new(), rows: Vec::new() };
        let mut is_first = all.iter().all(|earlier: &Fetched| earlier.slab.is_empty());
        'keys: for keys in wanted.keys.chunks(READ_ROWS) {
            let keys: Vec<Bytes> = keys
                .iter()
                .map(|key| Ok(encode::key(&row::wire_key(&shape.table.columns, key)?).into()))
                .collect::<Result<_>>()?;
            for (key, found) in keys.iter().zip(ask(catalog, &shape, &keys).await?) {
                let before = fetched.slab.len();
                let place = read(catalog, &shape, key, found, &mut fetched.slab).await?;
                if fetched.slab.len() > room && !is_first {
                    fetched.slab.truncate(before);
                    break 'keys;
                }
                is_first &= place.is_none();
                fetched.rows.push(place);
            }
        }
        room = room.saturating_sub(fetched.slab.len());
        all.push(fetched);
    }
    Ok(all)
}

async fn ask(catalog: &Catalog, shape: &Shape, keys: &[Bytes]) -> Result<Vec<super::client::row::Found>> {
    let name = &shape.table.name;
    let request = BatchGetRowRequest {
        tables: vec![TableInBatchGet {
            table_name: name.name.clone(),
            primary_key: keys.to_vec(),
            max_versions: Some(shape.max_versions()),
            ..TableInBatchGet::default()
        }],
    };
    let what = format!("fetching rows of {name}");
    let rows = catalog.client.batch_get_row(&request).await.at(&what)?.pop().unwrap_or_default();
    rows.into_iter().map(|row| row.at(&what)).collect()
}

/// Writes a row that was found, with the rest of it if it is wider than an answer.
async fn read(
    catalog: &Catalog,
    shape: &Shape,
    key: &Bytes,
    found: super::client::row::Found,
    slab: &mut Vec<u8>,
) -> Result<Option<Place>> {
    if found.row.is_empty() {
        return Ok(None);
    }
    let mut parts = vec![found.row];
    let mut token = found.next_token;
    while let Some(more) = token {
        let request = GetRowRequest {
            table_name: shape.table.name.name.clone(),
            primary_key: key.clone(),
            max_versions: Some(shape.max_versions()),
            token: Some(more),
            ..GetRowRequest::default()
        };
        let part =
            catalog.client.get_row(&request).await.at(&format!("fetching a wide row of {}", shape.table.name))?;
        parts.push(part.row);
        token = part.next_token;
    }
    let mut whole = Row::default();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let row = Wire::one(part).map_err(|problem| row::corrupt(&problem))?;
        whole.key = row.key;
        whole.cells.extend(row.cells);
    }
    Ok(Some(row::write(&shape.table, &whole, slab)?))
}
