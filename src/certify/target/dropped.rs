//! Calls whose caller goes away: what they did is there as a whole or not at all, and the watermark knows.

use super::drive::{Changes, Drive, claim, log, place};
use crate::{
    certify::Write,
    certify::{
        check::{Verdict, same},
        fixture::Scratch,
        replica::Replica,
        scene::{JOB, plain, plain_row},
    },
    model::Value,
};
use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

const ROUNDS: u64 = 24;

pub async fn apply(scratch: &dyn Scratch) -> Verdict {
    let plain = Arc::new(plain(&scratch.schema()));
    let mut drive = Drive::start_as(scratch, claim(JOB, 1, &[&plain]), &[&plain]).await?;
    let mut replica = Replica::new(std::slice::from_ref(&plain));
    let (mut there, mut not) = (0, 0);
    for round in 0..ROUNDS {
        let id = i64::try_from(round).expect("few rounds");
        let mut changes = Changes::new().delete(&plain, &[Value::Int(id - 2)]);
        let mut writes = vec![Write::delete(&plain.name, vec![Value::Int(id - 2)])];
        for row in [plain_row(id, "one"), plain_row(id + 1000, "two"), plain_row(5000, &round.to_string())] {
            changes = changes.upsert(&plain, row.clone());
            writes.push(Write::Replace { table: plain.name.clone(), row });
        }
        let number = drive.number + 1;
        let (feed, from, to) = (log(), place(number - 1), place(number));
        let part = crate::target::Part { number, ..changes.part(&feed, &from, &to) };
        // By turns: after so many steps of its work, and after so long.
        match round % 2 {
            0 => drop(steps(drive.target.apply(part), round / 2).await),
            _ => drop(tokio::time::timeout(Duration::from_micros(round * 60), drive.target.apply(part)).await),
        }
        drive.reopen().await?;
        match drive.number == number {
            true => {
                there += 1;
                replica.write(&writes);
            }
            false => {
                not += 1;
                same("the watermark after a dropped apply", &drive.number, &(number - 1))?;
            }
        }
        replica.compare(&format!("batch {number}, dropped in round {round}"), scratch).await?;
        if drive.number < number {
            // It goes to the target again, and nothing of the first try may come in its way or after it.
            drive.done(&changes).await?;
            replica.write(&writes);
        }
    }
    tracing::debug!(there, not, "dropped applies");
    drive.reopen().await?;
    replica.compare("after all of them", scratch).await
}

/// Lets a future work for so many steps and then drops it.
pub async fn steps<F: Future>(work: F, steps: u64) -> Option<F::Output> {
    let mut work = pin!(work);
    for _ in 0..steps {
        let done = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        if let Poll::Ready(done) = done {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}
