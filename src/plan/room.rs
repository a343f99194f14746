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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Table, TableName};
    use std::sync::Arc;

    #[test]
    fn a_full_disk_is_seen_before_it_is_full() {
        let shape = Arc::new(Table::new(TableName::new("main", "t"), Vec::new(), Vec::new()));
        let table =
            |bytes| PlannedTable { shape: Arc::clone(&shape), target_shape: Arc::clone(&shape), rows: None, bytes };
        let room = Room { place: "/data".into(), volume: "1".into(), free: 1 << 30 };
        assert_eq!(of_target(&[table(Some(100 << 20)), table(None)], Some(&room)), None);
        assert_eq!(of_target(&[table(Some(100 << 30))], None), None, "nobody knows");
        let full = of_target(&[table(Some(2 << 30))], Some(&room)).expect("too much");
        assert_eq!(full.text, "the copy needs about 2.2 GiB, and 1.0 GiB are free there");
        assert_eq!(full.mend.as_deref(), Some("free 1.2 GiB in /data, or move the target"));
        assert!(of_log(Some(&room), 1 << 29).is_none());
        assert!(of_log(Some(&Room { free: 1 << 20, ..room }), 1 << 29).is_some());
    }
}
