//! How fast a table is copied: lately, and how long the rest will take at that.

use std::time::Duration;
use tokio::time::Instant;

/// Long enough that a large batch is no burst.
const LATELY: Duration = Duration::from_secs(5);

/// Of one table and this run of its job: what earlier runs copied cost this one no time.
pub struct Pace {
    since: Instant,
    share: f64,
    lately: (Instant, u64),
    rows_per_s: f64,
    /// As last seen.
    rows: u64,
    has_begun: bool,
}

impl Pace {
    /// Where the run found it: `share` of 1 was copied.
    pub fn new(rows: u64, share: f64) -> Pace {
        let now = Instant::now();
        Pace { since: now, share, lately: (now, rows), rows_per_s: 0.0, rows, has_begun: false }
    }

    /// A table that waits for others takes no time yet, and one that is copied again begins anew.
    pub fn note(&mut self, rows: u64, share: f64) {
        if rows < self.rows || share < self.share {
            *self = Pace::new(rows, share);
        }
        let grows = rows > self.rows;
        if !self.has_begun && !grows {
            (self.since, self.lately) = (Instant::now(), (Instant::now(), rows));
        }
        self.has_begun |= grows;
        self.rows = rows;
    }

    pub fn rows_per_s(&mut self, rows: u64) -> f64 {
        let (since, before) = self.lately;
        let seconds = since.elapsed().as_secs_f64();
        // At first whatever there is: a person waits for a figure.
        if since.elapsed() >= LATELY || (self.rows_per_s == 0.0 && seconds > 0.0) {
            self.rows_per_s = rows.saturating_sub(before) as f64 / seconds;
        }
        if since.elapsed() >= LATELY {
            self.lately = (Instant::now(), rows);
        }
        self.rows_per_s
    }

    /// Seconds until all is copied; `None`: this run has copied nothing that could tell.
    pub fn eta_s(&self, share: f64) -> Option<u64> {
        let done = share - self.share;
        let seconds = self.since.elapsed().as_secs_f64();
        (done > 0.0 && seconds > 0.0).then(|| (seconds * (1.0 - share) / done) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_run_copied_took_no_time_of_this_one() {
        let mut pace = Pace::new(1_000, 0.5);
        assert_eq!((pace.rows_per_s(1_000), pace.eta_s(0.5)), (0.0, None));
        tokio::time::advance(Duration::from_secs(3_600)).await;
        pace.note(1_000, 0.5);
        tokio::time::advance(Duration::from_secs(10)).await;
        pace.note(1_200, 0.6);
        assert_eq!((pace.rows_per_s(1_200), pace.eta_s(0.6)), (20.0, Some(40)), "it waited for an hour before");
        pace.note(0, 0.0);
        assert_eq!(pace.eta_s(0.0), None, "it is copied again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_stands_still_has_no_rate() {
        let mut pace = Pace::new(0, 0.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(pace.rows_per_s(500), 100.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(pace.rows_per_s(500), 0.0);
    }
}
