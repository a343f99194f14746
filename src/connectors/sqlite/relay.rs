//! A target file that is itself followed: what we write there must be in its log too.
//!
//! Triggers of the file do not fire in our connection, so that the application's own triggers do not repeat what the
//! source's have done. Temporary triggers do: for every followed table this connection hangs up the same notes as the
//! file has, with our job as `origin`. So B of a chain A → B → C logs what A's job writes, in the same transaction.

use super::{failure::Answer, file::Database, log, schema, text::quote, triggers};
use crate::error::Result;

/// Brings the temporary triggers up to date; asked when the schema has changed (starting to follow changes it).
pub(super) fn renew(db: &mut Database, job: &str) -> Result<()> {
    drop_all(db)?;
    if !log::is_there(db)? {
        return Ok(());
    }
    for followed in log::followed(db)?.into_values().filter(|followed| !followed.gone) {
        let Some(shape) = schema::read(db, &followed.name)? else { continue };
        for (_, sql) in triggers::temporary(&shape, followed.number, job) {
            db.run(&sql)?;
        }
    }
    Ok(())
}

fn drop_all(db: &mut Database) -> Answer<()> {
    let names = db.rows(
        "SELECT name FROM sqlite_temp_schema WHERE type = 'trigger' AND name GLOB 'whimbrel_[0-9]*'",
        [],
        |row| schema::text(row.get(0)),
    )?;
    for name in names {
        db.run(&format!("DROP TRIGGER temp.{}", quote(&name)))?;
    }
    Ok(())
}
