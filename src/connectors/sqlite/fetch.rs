//! Rows by key, now, all of one request in one snapshot.

use super::{
    config::Config,
    copy::{show, too_big_row},
    decode, encode,
    file::Database,
    paging,
    schema::Shape,
    seen::{self, Seen},
    shapes::Shapes,
    statement::Statement,
    text::quote,
};
use crate::{
    error::Result,
    model::{Checkpoint, Key, Place},
    source::{Fetched, Wanted},
};
use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

/// Statements by table, for as long as the shape is the same.
#[derive(Default)]
pub(super) struct Fetcher {
    shapes: Shapes,
    statements: HashMap<String, (Arc<Shape>, Statement)>,
}

impl Fetcher {
    pub fn fetch(
        &mut self,
        db: &mut Database,
        config: &Config,
        wanted: &[Wanted],
        after: &Checkpoint,
        max_bytes: usize,
        seen: &Seen,
    ) -> Result<Vec<Fetched>> {
        db.snapshot(|db| {
            seen::prove_after(db, after, seen)?;
            let mut answers = Vec::with_capacity(wanted.len());
            let mut budget = Budget { left: max_bytes, first: true };
            for wanted in wanted {
                answers
                    .push(self.table(db, config, wanted, &mut budget).map_err(|error| error.at(&wanted.table.name))?);
            }
            Ok(answers)
        })
    }

    fn table(&mut self, db: &mut Database, config: &Config, wanted: &Wanted, budget: &mut Budget) -> Result<Fetched> {
        let name = &wanted.table.name.name;
        let Some(shape) = self.shapes.get(db, name)? else {
            self.statements.remove(name);
            return Ok(Fetched { table: None, slab: Vec::new(), rows: vec![None; wanted.keys.len()] });
        };
        if !matches!(self.statements.get(name), Some((of, _)) if Arc::ptr_eq(of, &shape)) {
            let (columns, table) = (shape.column_list(), quote(shape.name()));
            let sql = format!("SELECT {columns} FROM {table} WHERE {}", paging::by_key(&shape.terms));
            self.statements.insert(name.clone(), (Arc::clone(&shape), Statement::new(&db.conn, &sql)?));
        }
        let (_, statement) = self.statements.get_mut(name).expect("just made");
        let mut fetched = Fetched { table: Some(Arc::clone(&shape.table)), slab: Vec::new(), rows: Vec::new() };
        for key in &wanted.keys {
            let before = fetched.slab.len();
            let found = row(statement, &shape, config, key, &mut fetched.slab)?;
            if !budget.takes(fetched.slab.len() - before) {
                fetched.slab.truncate(before);
                break;
            }
            fetched.rows.push(found);
        }
        Ok(fetched)
    }
}

/// Bytes that the answer may still hold; the first row always fits.
struct Budget {
    left: usize,
    first: bool,
}

impl Budget {
    fn takes(&mut self, bytes: usize) -> bool {
        if bytes == 0 {
            return self.left > 0 || self.first;
        }
        let takes = self.first || bytes <= self.left;
        self.first = false;
        self.left = if takes { self.left.saturating_sub(bytes) } else { 0 };
        takes
    }
}

/// The row that the store takes for this key, maybe of other bytes.
fn row(
    statement: &mut Statement,
    shape: &Shape,
    config: &Config,
    key: &Key,
    slab: &mut Vec<u8>,
) -> Result<Option<Place>> {
    let keys = key.row().len();
    let mut texts = vec![String::new(); keys];
    let values =
        key.values().zip(&mut texts).map(|(value, text)| encode::value(value, text)).collect::<Result<Vec<_>>>()?;
    if keys != shape.terms.len() {
        return Ok(None);
    }
    let mut found = None;
    let read = statement.query(values.iter().copied(), |row| {
        found = Some(decode::row(row, shape.table.columns.len(), slab));
        Ok(ControlFlow::Break(()))
    });
    match read {
        Err(failure) if failure.is_too_big() => Err(too_big_row(&show(key.values()), config.max_row_bytes)),
        Err(failure) => Err(failure.into()),
        Ok(()) => match found {
            Some(place)
                if slab.len() - place as usize > usize::try_from(config.max_row_bytes).unwrap_or(usize::MAX) =>
            {
                Err(too_big_row(&show(key.values()), config.max_row_bytes))
            }
            found => Ok(found),
        },
    }
}
