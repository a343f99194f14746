//! Which tables a job carries, and what they are called in its targets.

use crate::{
    error::{Error, Result},
    model::{Body, Checkpoint, Mark, SourceSpec, Table, TableName},
    source::{Feed, Next},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Include and exclude globs, and renames. Cheap to share.
pub struct Route {
    include: Vec<String>,
    exclude: Vec<String>,
    rename: BTreeMap<String, String>,
    /// Source shape → target shape and back, by pointer, for as long as somebody else has either.
    mapped: Mutex<Vec<(Arc<Table>, Arc<Table>)>>,
}

impl Route {
    pub fn new(spec: &SourceSpec) -> Result<Route> {
        let part = |glob: &String| match glob.contains('.') {
            true => Ok(glob.trim_start_matches('!').to_owned()),
            false => Err(Error::config(format!("source.tables: `{glob}` is not of the form schema.table"))
                .hint(format!("write `main.{glob}`, or `*.{glob}` for every schema"))),
        };
        let (exclude, include): (Vec<_>, Vec<_>) = spec.tables.iter().partition(|glob| glob.starts_with('!'));
        for (from, to) in &spec.rename {
            let wild = |name: &str| name.ends_with(".*");
            if !from.contains('.') || !to.contains('.') || wild(from) != wild(to) {
                return Err(Error::config(format!("source.rename: `{from}: {to}` is not a pair of the same form"))
                    .hint("write `schema.table: schema.table` or `schema.*: schema.*`"));
            }
        }
        Ok(Route {
            include: include.into_iter().map(part).collect::<Result<_>>()?,
            exclude: exclude.into_iter().map(part).collect::<Result<_>>()?,
            rename: spec.rename.clone(),
            mapped: Mutex::default(),
        })
    }

    /// Whether the job carries this table of the source.
    pub fn selects(&self, name: &TableName) -> bool {
        let text = format!("{}.{}", name.schema, name.name);
        let any = |globs: &[String]| globs.iter().any(|glob| matches(glob.as_bytes(), text.as_bytes()));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    pub fn selected(&self, all: &[Arc<Table>]) -> Vec<Arc<Table>> {
        all.iter().filter(|table| self.selects(&table.name)).cloned().collect()
    }

    /// Whether a table of this schema may be selected without being named.
    pub fn reaches_into(&self, schema: &str) -> bool {
        let reaches = |glob: &String| {
            let of_schema = glob.split_once('.').map_or(glob.as_str(), |(schema, _)| schema);
            glob.contains(['*', '?']) && matches(of_schema.as_bytes(), schema.as_bytes())
        };
        self.include.is_empty() || self.include.iter().any(reaches)
    }

    /// Globs and renames of the job file that concern none of these tables.
    pub fn idle(&self, names: &[&TableName]) -> Vec<String> {
        let texts: Vec<String> = names.iter().map(|name| format!("{}.{}", name.schema, name.name)).collect();
        let none = |glob: &String| !texts.iter().any(|text| matches(glob.as_bytes(), text.as_bytes()));
        let include = self.include.iter().filter(|glob| none(glob)).cloned();
        let exclude = self.exclude.iter().filter(|glob| none(glob)).map(|glob| format!("!{glob}"));
        let renamed = |from: &&String| match from.strip_suffix(".*") {
            Some(schema) => !names.iter().any(|name| name.schema == schema && self.selects(name)),
            None => !names.iter().zip(&texts).any(|(name, text)| text == *from && self.selects(name)),
        };
        include.chain(exclude).chain(self.rename.keys().filter(renamed).cloned()).collect()
    }

    /// What a table of the source is called in the targets.
    pub fn target_name(&self, name: &TableName) -> TableName {
        let whole = format!("{}.{}", name.schema, name.name);
        if let Some((schema, table)) = self.rename.get(&whole).and_then(|to| to.split_once('.')) {
            return TableName::new(schema, table);
        }
        match self.rename.get(&format!("{}.*", name.schema)).and_then(|to| to.strip_suffix(".*")) {
            Some(schema) => TableName::new(schema, &name.name),
            None => name.clone(),
        }
    }

    /// The shape as the targets know it.
    pub fn target_table(&self, table: &Arc<Table>) -> Arc<Table> {
        if self.rename.is_empty() {
            return Arc::clone(table);
        }
        let mut mapped = self.mapped.lock();
        if let Some((_, known)) = mapped.iter().find(|(source, _)| Arc::ptr_eq(source, table)) {
            return Arc::clone(known);
        }
        let mut renamed = Table::clone(table);
        renamed.name = self.target_name(&table.name);
        for key in &mut renamed.foreign_keys {
            key.parent = self.target_name(&key.parent);
        }
        let renamed = Arc::new(renamed);
        // Never one that a batch on its way still has: its source shape would be unknown.
        mapped.retain(|(source, target)| Arc::strong_count(source) > 1 || Arc::strong_count(target) > 1);
        mapped.push((Arc::clone(table), Arc::clone(&renamed)));
        renamed
    }

    /// The source's shape behind a shape that `target_table` gave.
    pub fn source_table(&self, table: &Arc<Table>) -> Arc<Table> {
        if self.rename.is_empty() {
            return Arc::clone(table);
        }
        let mapped = self.mapped.lock();
        let known = mapped.iter().find(|(_, target)| Arc::ptr_eq(target, table));
        known.map_or_else(|| Arc::clone(table), |(source, _)| Arc::clone(source))
    }
}

/// `*` is any run of characters, `?` one.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        Some((b'?', rest)) => !text.is_empty() && matches(rest, &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && matches(rest, &text[1..]),
    }
}

/// A feed whose shapes are those of the targets.
pub struct Routed<F> {
    feed: F,
    route: Arc<Route>,
}

impl<F: Feed> Routed<F> {
    pub fn new(feed: F, route: Arc<Route>) -> Self {
        Routed { feed, route }
    }
}

#[async_trait]
impl<F: Feed> Feed for Routed<F> {
    async fn next(&mut self, patience: Duration) -> Result<Next> {
        let mut next = self.feed.next(patience).await?;
        if let Next::Batch(batch) = &mut next
            && !self.route.rename.is_empty()
        {
            match &mut batch.body {
                Body::Rows(rows) => {
                    for shape in &mut Arc::make_mut(rows).shapes {
                        *shape = self.route.target_table(shape);
                    }
                }
                Body::Raw { table, .. } => *table = self.route.target_table(table),
            }
        }
        Ok(next)
    }

    async fn ahead(&mut self) {
        self.feed.ahead().await
    }

    async fn acknowledge(&mut self, upto: &Checkpoint) -> Result<()> {
        self.feed.acknowledge(upto).await
    }

    fn passed(&mut self, mark: &Mark) -> bool {
        self.feed.passed(mark)
    }

    fn gone(&self) -> Vec<TableName> {
        self.feed.gone()
    }

    fn made(&self) -> Vec<(TableName, bool)> {
        self.feed.made()
    }

    fn stands_at(&self) -> Option<Checkpoint> {
        self.feed.stands_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(tables: &[&str], rename: &[(&str, &str)]) -> Result<Route> {
        Route::new(&SourceSpec {
            tables: tables.iter().map(|&glob| glob.into()).collect(),
            rename: rename.iter().map(|&(from, to)| (from.into(), to.into())).collect(),
            ..SourceSpec::new("a")
        })
    }

    #[test]
    fn globs_include_and_exclude() {
        let selects =
            |globs: &[&str], name: &str| route(globs, &[]).expect("good globs").selects(&TableName::new("shop", name));
        assert!(selects(&[], "orders"));
        assert!(selects(&["shop.*"], "orders"));
        assert!(selects(&["*.ord?rs"], "orders"));
        assert!(!selects(&["shop.*", "!shop.tmp_*"], "tmp_1"));
        assert!(!selects(&["crm.*"], "orders"));
        assert!(route(&["orders"], &[]).is_err());
        let reaches = |globs: &[&str]| route(globs, &[]).expect("good globs").reaches_into("shop");
        assert!(reaches(&[]) && reaches(&["shop.o*"]) && reaches(&["*.orders"]) && reaches(&["crm.a", "sh?p.x"]));
        assert!(!reaches(&["shop.orders"]) && !reaches(&["crm.*"]));
    }

    #[test]
    fn renames_go_there_and_back() {
        let route = route(&[], &[("shop.*", "store.*"), ("shop.a", "other.b")]).expect("good renames");
        assert_eq!(route.target_name(&TableName::new("shop", "x")), TableName::new("store", "x"));
        let source = Arc::new(Table::new(TableName::new("shop", "a"), Vec::new(), Vec::new()));
        let target = route.target_table(&source);
        assert_eq!(target.name, TableName::new("other", "b"));
        assert!(Arc::ptr_eq(&route.source_table(&target), &source));
    }

    #[test]
    fn a_shape_on_its_way_is_not_forgotten_and_others_are() {
        let route = route(&[], &[("shop.*", "store.*")]).expect("good renames");
        let shape =
            |version| Arc::new(Table { version, ..Table::new(TableName::new("shop", "a"), Vec::new(), Vec::new()) });
        // The source has had many shapes since; a batch still has the target's.
        let under_way = route.target_table(&shape(1));
        for version in 2..10_000 {
            route.target_table(&shape(version));
        }
        let source = route.source_table(&under_way);
        assert_eq!((&source.name, source.version), (&TableName::new("shop", "a"), 1));
        assert!(route.mapped.lock().len() < 5, "what nobody has any more is kept");
    }
}
