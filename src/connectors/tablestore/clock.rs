//! The service's time, as its answers tell it; marks are times.

use super::client::Client;
use crate::model::Mark;
use jiff::Timestamp;

/// How much later than its write a record may be shown to a reader of the stream who finds nothing more.
const SETTLES_US: i64 = 1_000_000;

pub(super) fn now_us(client: &Client) -> i64 {
    let ahead = client.clock_ahead_s().unwrap_or(0);
    Timestamp::now().as_microsecond().saturating_sub(ahead.saturating_mul(1_000_000))
}

/// R1, rounding up: a shard that has nothing more when it is asked after this has told all that is committed by now.
pub(super) fn mark(client: &Client) -> Mark {
    // The service's clock is known to the second.
    Mark((now_us(client) + SETTLES_US).to_be_bytes().to_vec())
}

pub(super) fn read(mark: &Mark) -> Option<i64> {
    Some(i64::from_be_bytes(mark.0.as_slice().try_into().ok()?))
}
