//! What of ours is in a server and belongs to no job that is known, with the SQL that removes it.

use super::{config::Config, connect::Session, failure, watermark::Home};
use crate::{
    error::Result,
    model::{JobId, Leftover},
};

/// Looks only. Following a server leaves nothing in it, writing to it three small tables.
pub(super) async fn look(config: &Config, known: &[JobId]) -> Result<Vec<Leftover>> {
    let Some(database) = &config.database else { return Ok(Vec::new()) };
    let home = Home::new(database);
    let mut session = Session::open(config).await?;
    let is_there = home.is_there(&mut session).await;
    if !is_there.map_err(|failure| failure::error(failure, "looking for what is left over"))? {
        return Ok(Vec::new());
    }
    let jobs = home.all(&mut session).await?;
    let orphans: Vec<_> = jobs.iter().filter(|row| !known.contains(&row.job)).collect();
    if orphans.len() == jobs.len() {
        let text = match orphans.len() {
            0 => "no job writes here".to_owned(),
            count => format!("written by jobs that this daemon does not have: {count}"),
        };
        let job = (orphans.len() == 1).then(|| orphans[0].job.to_string());
        return Ok(vec![Leftover {
            object: "watermarks: tables whimbrel_…".into(),
            job,
            text,
            remove: home.drop_sql(),
        }]);
    }
    let one = |row: &&crate::target::JobRow| Leftover {
        object: "watermarks of a job".into(),
        job: Some(row.job.to_string()),
        text: format!("this daemon does not have the job; it has written {} tables", row.opened.tables.len()),
        remove: home.delete_sql(row.job),
    };
    Ok(orphans.iter().map(one).collect())
}
