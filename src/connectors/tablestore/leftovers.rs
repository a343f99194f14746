//! What of ours is in an instance and belongs to no job that is known.

use super::{client::Client, config::Config, watermark};
use crate::{
    error::Result,
    model::{JobId, Leftover},
    state::remembered_name,
};

pub(super) async fn look(config: &Config, known: &[JobId]) -> Result<Vec<Leftover>> {
    let client = Client::new(config)?;
    let owners = watermark::owners(&client).await?;
    let others = owners.iter().filter(|owner| !known.contains(&owner.job));
    Ok(others
        .map(|owner| Leftover {
            object: watermark::TABLES.join(", "),
            job: Some(owner.job.to_string()),
            text: match remembered_name(&owner.spec) {
                Some(name) => format!("what job `{name}` has written, which this daemon does not have"),
                None => "what a job has written that this daemon does not have".to_owned(),
            },
            remove: format!("delete the rows whose `job` is {} from these tables", owner.job),
        })
        .collect())
}
