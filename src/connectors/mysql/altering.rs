//! What a statement that changes tables means for the targets, once the catalogue was looked at.

use super::{
    batches::Told,
    ddl::{OldRows, What},
    history::{Ahead, Known, follows},
    schema::Shape,
    tail::{Altering, Tail},
};
use crate::{
    error::Result,
    model::{Change, TableName},
};
use std::{collections::BTreeMap, sync::Arc};

impl Tail {
    /// Looks at the catalogue, if a statement asks for it. Dropping the future loses nothing.
    pub async fn look(&mut self) -> Result<()> {
        let Some(altering) = &self.altering else { return Ok(()) };
        let at = self.reach_with_this()?;
        let mut last: BTreeMap<TableName, (What, Option<Known>)> = BTreeMap::new();
        for (name, what, known) in &altering.changes {
            last.insert(name.clone(), (what.clone(), known.clone()));
        }
        let (mut look, mut before) = (Vec::new(), Vec::new());
        for (name, (what, known)) in last {
            match &known {
                // Further changes come: what it is then counts.
                Some(Known::Ahead(ahead)) if !at.contains(&ahead.until)? => {
                    if what == What::Truncated {
                        self.history.set_changed(&name);
                    }
                    continue;
                }
                Some(Known::Certain(_)) if what == What::Truncated => {}
                _ => {
                    // Foreign keys follow a parent that gets another name, without a statement about its children: also
                    // those of tables in between that are not followed.
                    let children = self.history.cascades.below(&name).map(|child| child.name.clone());
                    let certain = |child: &TableName| matches!(self.history.known(child), Some(Known::Certain(_)));
                    look.extend(children.filter(certain));
                    look.push(name.clone());
                }
            }
            before.push((name, what, known));
        }
        look.sort();
        look.dedup();
        if !look.is_empty() {
            self.history.look(&at, look).await?;
        }
        let Some(Altering { ended, .. }) = self.altering.take() else { return Ok(()) };
        for (name, what, known) in before {
            // What it did to its children's rows so far is not known where it was not known itself.
            if self.expands && matches!(&known, Some(Known::Ahead(Ahead { keeps: false, .. }))) {
                for child in self.history.children(&name) {
                    self.recopy(&child)?;
                }
            }
            if self.history.followed.contains(&name) {
                self.changed(&name, what, known)?;
            }
        }
        self.finish_altering(ended)
    }

    fn changed(&mut self, name: &TableName, what: What, before: Option<Known>) -> Result<()> {
        let now = match self.history.known(name) {
            Some(Known::Certain(shape)) => Arc::clone(shape),
            Some(Known::Ahead(_)) => {
                // Its rows are copied again where the next one is met, or where the last change is.
                let keeps = matches!(
                    what,
                    // Where one goes that comes later, rows would keep its values.
                    What::Altered(OldRows::Grow(_)) | What::Created { if_absent: true }
                );
                if matches!(before, Some(Known::Certain(_))) && !keeps {
                    self.history.set_changed(name);
                }
                return Ok(());
            }
            Some(Known::Gone) | None => {
                if matches!(before, Some(Known::Certain(_) | Known::Ahead(_))) {
                    tracing::warn!(
                        table = %name,
                        "the table is gone from the source; it is kept in the targets, and followed again if it comes back"
                    );
                }
                return Ok(());
            }
        };
        match (before, what) {
            (Some(Known::Certain(before)), What::Truncated) => {
                self.tell(&Told { table: &before.table, change: Change::Truncate, row: None, before: None })
            }
            (Some(Known::Certain(_)), What::Created { if_absent: true }) => Ok(()),
            (Some(Known::Certain(before)), What::Altered(OldRows::Grow(_) | OldRows::Keep | OldRows::Bind)) => {
                self.reshape(&before, &now)
            }
            (Some(Known::Ahead(Ahead { told: true, .. })), _) => Ok(()),
            (Some(Known::Ahead(Ahead { keeps: true, .. })), _) => {
                self.tell(&Told { table: &now.table, change: Change::Reshape, row: None, before: None })
            }
            _ => self.recopy(&now.table),
        }
    }

    fn reshape(&mut self, before: &Shape, now: &Shape) -> Result<()> {
        if before.table == now.table {
            return Ok(());
        }
        match follows(&before.table, &now.table) {
            true => self.tell(&Told { table: &now.table, change: Change::Reshape, row: None, before: None }),
            false => self.recopy(&now.table),
        }
    }
}
