//! Whether what is copied has room. Pure.

use super::PlannedTable;
use crate::{
    model::{Finding, Severity},
    source::Room,
};

/// A target keeps about what the source keeps, and its journal beside that.
const OVERHEAD: f64 = 1.1;

/// Tables whose size nobody knows are left out: then it is at least so much.
pub fn of_target(tables: &[PlannedTable], room: Option<&Room>) -> Option<Finding> {
    let room = room?;
    let known: u64 = tables.iter().filter_map(|table| table.bytes).sum();
    let needed = (known as f64 * OVERHEAD) as u64;
    (needed > room.free).then(|| {
        let text = format!("the copy needs about {}, and {} are free there", size(needed), size(room.free));
        let mend = format!("free {} in {}, or move the target", size(needed - room.free), room.place);
        Finding::new(Severity::Warning, &room.place, text).mend(mend)
    })
}

/// A source whose disk is full stops its application.
pub fn of_log(room: Option<&Room>, least: u64) -> Option<Finding> {
    let room = room.filter(|room| room.free < least)?;
    let text = format!("only {} are free, and the log grows there while a job is behind", size(room.free));
    let mend = format!("free {} in {}", size(least - room.free), room.place);
    Some(Finding::new(Severity::Warning, &room.place, text).mend(mend))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=0xfff => format!("{bytes} bytes"),
        0x1000..=0xf_ffff => format!("{} KiB", bytes >> 10),
        0x10_0000..=0x3fff_ffff => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
