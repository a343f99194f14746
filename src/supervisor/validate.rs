//! Whether a job's spec can work at all, before any store is asked.

use super::{
    denied::{Answer, Reason},
    stores::Stores,
};
use crate::{
    error::Error,
    model::JobSpec,
    pipeline::{Route, flat},
};

/// As DNS labels have it, so that a job's name is good in files, labels and host names.
const NAME_LETTERS: usize = 63;
const LABELS: usize = 64;
const LABEL_BYTES: usize = 256;
const TARGETS: usize = 16;
const TABLE_GLOBS: usize = 1000;
/// No store has longer names.
const GLOB_BYTES: usize = 1024;
/// Connections to one target; more only wait for each other.
const LANES: u16 = 64;
const PARALLELISM: u16 = 64;
/// The memory bound is the budget and three times this.
const ROW_BYTES: std::ops::RangeInclusive<u64> = 1024..=1 << 30;

pub fn validate(spec: &JobSpec, stores: &Stores) -> Answer<()> {
    form(spec).map_err(Reason::InvalidArgument.because())?;
    let source = stores.config(&spec.source.store)?;
    for (index, target) in spec.targets.iter().enumerate() {
        let config = stores.config(&target.store)?;
        let place = format!("targets[{index}].store");
        if target.store == spec.source.store || config.url == source.url {
            return Reason::InvalidArgument
                .deny(wrong(&place, &format!("`{}` is the source as well", target.store)).hint("name another store"));
        }
        let is_double = spec.targets[..index].iter().any(|earlier| {
            earlier.store == target.store || stores.config(&earlier.store).is_ok_and(|other| other.url == config.url)
        });
        if is_double {
            return Reason::InvalidArgument
                .deny(wrong(&place, &format!("`{}` is there twice", target.store)).hint("name each store once"));
        }
    }
    Ok(())
}

fn form(spec: &JobSpec) -> Result<(), Error> {
    name(&spec.name)?;
    for (key, value) in &spec.labels {
        if key.is_empty() || key.len() > LABEL_BYTES || value.len() > LABEL_BYTES {
            return Err(wrong(&format!("labels.{key}"), "labels have 1 to 256 bytes").hint("shorten it"));
        }
    }
    at_most("labels", spec.labels.len(), LABELS)?;
    at_most("source.tables", spec.source.tables.len(), TABLE_GLOBS)?;
    at_most("source.rename", spec.source.rename.len(), TABLE_GLOBS)?;
    let names = spec.source.rename.iter().flat_map(|(from, to)| [from, to]);
    if let Some(long) = spec.source.tables.iter().chain(names).find(|name| name.len() > GLOB_BYTES) {
        return Err(wrong("source", &format!("a table's name of {} bytes", long.len()))
            .hint(format!("names and globs have at most {GLOB_BYTES} bytes")));
    }
    at_most("targets", spec.targets.len(), TARGETS)?;
    if spec.targets.is_empty() {
        return Err(wrong("targets", "a job needs at least one").hint("add `targets: [{store: NAME}]`"));
    }
    Route::new(&spec.source)?;
    flat::check(&spec.source)?;
    at_most("source.columns", spec.source.columns.len(), TABLE_GLOBS)?;
    at_most("apply.lanes", spec.apply.lanes.into(), LANES.into())?;
    at_most("copy.parallelism", spec.copy.parallelism.into(), PARALLELISM.into())?;
    if spec.apply.transactional && spec.apply.lanes > 1 {
        return Err(wrong("apply.lanes", "whole transactions need one lane").hint("remove `lanes` or `transactional`"));
    }
    if !ROW_BYTES.contains(&spec.apply.max_row_bytes) {
        let (least, most) = ROW_BYTES.into_inner();
        return Err(wrong("apply.max_row_bytes", &format!("outside of {least} to {most}")).hint("leave it out: 64 MiB"));
    }
    Ok(())
}

fn name(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.len() <= NAME_LETTERS && name.chars().all(is_plain) && !name.ends_with('-') {
        return Ok(());
    }
    Err(wrong("name", &format!("`{}` is no name for a job", name.escape_debug()))
        .hint("1 to 63 lower-case letters, digits and dashes, a letter first: `orders-to-dr`"))
}

fn at_most(place: &str, given: usize, most: usize) -> Result<(), Error> {
    match given > most {
        true => Err(wrong(place, &format!("{given} are more than {most}")).hint("use fewer, or split the job")),
        false => Ok(()),
    }
}

fn wrong(place: &str, text: &str) -> Error {
    Error::config(format!("`{place}`: {text}"))
}
