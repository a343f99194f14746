//! What the instance holds, as it was seen last.

use super::{
    client::Client,
    failure::{Answer, code},
    shape::{SCHEMA, Shape},
    watermark,
};
use crate::{
    error::{Error, Result},
    model::{Finding, Severity, TableName},
};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Table operations are ten a second for a whole instance.
const SIDE_BY_SIDE: usize = 4;

pub(super) struct Catalog {
    pub client: Client,
    shapes: Mutex<BTreeMap<String, Arc<Shape>>>,
}

impl Catalog {
    pub fn new(client: Client) -> Catalog {
        Catalog { client, shapes: Mutex::default() }
    }

    /// The table as it is now; `None`: it is not there. An unchanged one keeps its shape, by pointer.
    pub async fn look(&self, name: &str) -> Result<Option<Arc<Shape>>> {
        let described = self.client.describe_table(name).await;
        let (meta, options, answer) = match described {
            Err(failure) if failure.code() == Some(code::NO_SUCH) => return Ok(None),
            described => described.map_err(|failure| failure.at(format!("looking at the table {name}")))?,
        };
        let shape = Shape::of(meta, options, answer).map_err(|what| Error::config(format!("{name}: {what}")))?;
        let mut shapes = self.shapes.lock();
        let known = shapes.get(name).filter(|known| known.table == shape.table);
        let shape = match known {
            Some(known) => Shape { table: Arc::clone(&known.table), ..shape },
            None => shape,
        };
        let shape = Arc::new(shape);
        shapes.insert(name.to_owned(), Arc::clone(&shape));
        Ok(Some(shape))
    }

    /// As it was seen, or as it is if nobody has looked yet.
    pub async fn known(&self, name: &TableName) -> Result<Arc<Shape>> {
        let known = self.shapes.lock().get(&name.name).cloned();
        let shape = match known {
            Some(known) => Some(known),
            None => self.look(&name.name).await?,
        };
        shape.ok_or_else(|| missing(name))
    }

    /// All tables that hold rows of their own.
    pub async fn all(&self) -> Result<(Vec<Arc<Shape>>, Vec<Finding>)> {
        let names = self.client.list_tables().await.map_err(|failure| failure.at("listing the tables"))?;
        let ours = |name: &String| !watermark::TABLES.contains(&name.as_str());
        let looks =
            stream::iter(names.into_iter().filter(ours)).map(|name| async move { (self.look(&name).await, name) });
        let mut looks = looks.buffer_unordered(SIDE_BY_SIDE);
        let (mut shapes, mut findings) = (Vec::new(), Vec::new());
        while let Some((look, name)) = looks.next().await {
            match look {
                Ok(shape) => shapes.extend(shape),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    findings.push(Finding::new(Severity::Warning, format!("{SCHEMA}.{name}"), error.to_string()));
                }
            }
        }
        let indexes: BTreeSet<String> = shapes.iter().flat_map(|shape: &Arc<Shape>| shape.indexes.clone()).collect();
        shapes.retain(|shape| !indexes.contains(&shape.table.name.name));
        Ok((shapes, findings))
    }
}

pub(super) fn missing(name: &TableName) -> Error {
    Error::config(format!("{name}: there is no such table")).hint("name one of `whimbrel store tables`")
}

/// What an error of the client means where nothing more is known of it.
pub(super) trait At<T> {
    fn at(self, what: &str) -> Result<T>;
}

impl<T> At<T> for Answer<T> {
    fn at(self, what: &str) -> Result<T> {
        self.map_err(|failure| failure.at(what))
    }
}
