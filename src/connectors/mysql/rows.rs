//! Rows of the log told as changes of the tables that are watched.

use super::{
    batches::{OWN, Told},
    binlog::{self, Bytes, Operation, RowsEvent, TableMap},
    changes::{self, Watched},
    history::Known,
    image::{Misfit, Plan},
    position::Reach,
    tail::{Mapped, Mode, Tail},
};
use crate::{
    error::{Error, Result},
    model::{Change, Place, RowRef, Table, TableName},
};
use std::sync::Arc;

impl Tail {
    /// Each statement tells again what its tables are.
    pub(super) fn table(&mut self, map: &TableMap<'_>) -> Result<()> {
        if self.tables.get(&map.id).is_some_and(|told| *told.body == *map.body && !told.once) {
            return Ok(());
        }
        let watched = match self.history.name(map.schema, map.name) {
            None => Watched::Ignored,
            Some(name) => self.watched(map, name)?,
        };
        // What is skipped, or may be, is looked at less closely.
        let once = self.open.mode == Mode::Skip || matches!(watched, Watched::Misfit { .. });
        self.tables.insert(map.id, Mapped { body: map.body.into(), watched: Arc::new(watched), once });
        Ok(())
    }

    fn watched(&self, map: &TableMap<'_>, name: TableName) -> Result<Watched> {
        let layout = map.layout().ok_or_else(|| binlog::malformed("a table's layout", 19))?;
        let followed = self.history.followed.contains(&name);
        let parent = self.expands && self.history.cascades.is_parent(&name);
        match self.history.known(&name) {
            Some(Known::Certain(shape)) => match Plan::of(shape, layout) {
                Ok(plan) => Ok(Watched::Rows { plan, followed, parent }),
                Err(_) if self.open.mode == Mode::Skip => Ok(Watched::Ignored),
                Err(misfit) if self.may_be_applied() => Ok(Watched::Misfit { name, misfit }),
                Err(misfit) => Err(misfit.error(&name)),
            },
            Some(Known::Ahead(_)) => Ok(Watched::Ahead { name, columns: layout.columns, followed }),
            // Gone from the catalogue, and so from the log some time later: its rows go with it.
            Some(Known::Gone) | None => Ok(Watched::Ignored),
        }
    }

    pub(super) fn rows(&mut self, event: &RowsEvent<'_>) -> Result<()> {
        if self.open.mode == Mode::Skip {
            return Ok(());
        }
        let malformed = || binlog::malformed("rows", 0);
        // All bits: the end of a statement without rows.
        let Some(watched) = self.tables.get(&event.table).map(|mapped| Arc::clone(&mapped.watched)) else {
            return if event.columns == 0 || event.table == 0xff_ffff { Ok(()) } else { Err(malformed()) };
        };
        match &*watched {
            Watched::Ignored => Ok(()),
            Watched::Misfit { name, misfit } => {
                self.open.misfit = Some((name.clone(), misfit.clone()));
                Ok(())
            }
            Watched::Ahead { name, columns, followed } => self.rows_ahead(event, name, columns, *followed),
            Watched::Rows { plan, followed, parent } => {
                let malformed = || malformed().at(&plan.shape.table.name);
                let data = event.rows().ok_or_else(malformed)?;
                let mut bytes = Bytes(&data);
                let mut slab = std::mem::take(&mut self.scratch);
                while !bytes.0.is_empty() {
                    slab.clear();
                    let images = match images(plan, event, &mut bytes, &mut slab) {
                        Some(images) => images,
                        None if self.may_be_applied() => {
                            let misfit = Misfit("a row that is not one of it".to_owned());
                            self.open.misfit = Some((plan.shape.table.name.clone(), misfit));
                            break;
                        }
                        None => return Err(malformed()),
                    };
                    if *parent && !event.is_without_foreign_keys() && !self.tells_children(event) {
                        self.expand(plan, images, &slab)?;
                    }
                    if *followed {
                        self.open.step = OWN;
                        for (change, place) in
                            changes::of_row(plan, event, images.0, images.1, &mut slab)?.into_iter().flatten()
                        {
                            let (table, row) = (&plan.shape.table, Some(RowRef::new(&slab, place)));
                            match change {
                                Change::Recopy => self.recopy(table)?,
                                change => self.tell(&Told { table, change, row, before: None })?,
                            }
                        }
                        (self.open.row, self.open.step) = (self.open.row + 1, 0);
                    }
                }
                self.scratch = slab;
                Ok(())
            }
        }
    }

    /// A branch that is read again, and of which the end tells whether it was applied before: its tables may have been
    /// altered since, if it was.
    fn may_be_applied(&self) -> bool {
        self.open.mode == Mode::Prepare { again: true }
    }

    fn tells_children(&self, event: &RowsEvent<'_>) -> bool {
        !matches!(self.point.at, Reach::Maria(_)) && event.tells_children()
    }

    /// What a parent's row does to its children, before it happens to itself.
    fn expand(&mut self, plan: &Plan, images: (Option<Place>, Option<Place>), slab: &[u8]) -> Result<()> {
        let (Some(before), after) = images else { return Ok(()) };
        let row = |place| RowRef::new(slab, place);
        let table = &plan.shape.table;
        for effect in self.history.cascades.of_row(table, row(before), after.map(row), &self.history.followed) {
            match effect.change {
                Change::Recopy => self.recopy(&effect.table)?,
                change => {
                    self.tell(&Told { table: &effect.table, change, row: effect.patch(), before: effect.criteria() })?;
                }
            }
        }
        match self.open.step < OWN {
            true => Ok(()),
            false => Err(Error::config(format!(
                "{}: more of its rows go in one transaction than are counted",
                table.name
            ))
            .hint(
                "delete the job and create it again with `existing: replace`; delete parents in smaller transactions",
            )),
        }
    }

    fn rows_ahead(
        &mut self,
        event: &RowsEvent<'_>,
        name: &TableName,
        columns: &[binlog::LoggedColumn],
        followed: bool,
    ) -> Result<()> {
        let count = changes::count(event, columns).ok_or_else(|| binlog::malformed("rows", 0))?;
        // At the last of its rows, and behind what the last run has applied of that: what is before it was read then, and
        // the rest of the event was not.
        let after = self.open.row + count;
        if followed && count > 0 {
            (self.open.row, self.open.step) = (after - 1, 0);
        }
        let before = self.steps_before();
        // Where one of its own was applied, all that comes before those was.
        if before < OWN {
            self.open.step = self.open.step.max(before);
        }
        if self.expands && event.operation != Operation::Insert && !self.tells_children(event) {
            let children: Vec<Arc<Table>> = self.history.children(name);
            for child in children {
                self.recopy(&child)?;
            }
        }
        if followed {
            self.open.step = OWN.max(before);
            self.tell_ahead(name)?;
            (self.open.row, self.open.step) = (after, 0);
        }
        Ok(())
    }

    /// Rows that cannot be read: the table is copied again, from behind its last change.
    fn tell_ahead(&mut self, name: &TableName) -> Result<()> {
        self.note_edges();
        let Some(Known::Ahead(ahead)) = self.history.known(name) else { return Ok(()) };
        let (told, shape) = (ahead.told, ahead.shape.clone());
        if let Some(shape) = shape.filter(|_| !told) {
            let is_told = self.open.mode == Mode::Apply && !self.applied_before();
            self.recopy(&shape.table)?;
            if is_told {
                self.history.set_told(name);
            }
        }
        Ok(())
    }
}

/// The row before and the row after, as far as the event has them.
fn images(
    plan: &Plan,
    event: &RowsEvent<'_>,
    bytes: &mut Bytes<'_>,
    slab: &mut Vec<u8>,
) -> Option<(Option<Place>, Option<Place>)> {
    let mut one = |bits: &[u8], bytes: &mut Bytes<'_>| plan.row(bits, &[], bytes, slab);
    Some(match event.operation {
        Operation::Insert => (None, Some(one(event.present, bytes)?)),
        Operation::Delete => (Some(one(event.present, bytes)?), None),
        Operation::Update => (Some(one(event.present, bytes)?), Some(one(event.present_after, bytes)?)),
        Operation::PartialUpdate => {
            let before = one(event.present, bytes)?;
            let partial = plan.partial_bits(bytes)?;
            (Some(before), Some(plan.row(event.present_after, partial, bytes, slab)?))
        }
    })
}
