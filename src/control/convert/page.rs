//! Pages of lists. A token says where the next page begins and of which list it is, so that none is taken for another's.

use super::invalid;
use crate::supervisor::TrailPlace;
use tonic::Status;
use xxhash_rust::xxh3::xxh3_64;

const PAGE: usize = 100;
const LONGEST_PAGE: i32 = 1000;

/// One page that was asked for.
pub struct Page {
    /// The list, and what it is of (a store, a filter).
    list: String,
    after: Option<String>,
    pub limit: usize,
}

impl Page {
    pub fn of(list: &str, what: &str, token: &str, size: i32) -> Result<Page, Status> {
        let limit = match size {
            0 => PAGE,
            1.. => size.min(LONGEST_PAGE) as usize,
            _ => return Err(invalid("page_size", "negative", "leave it out")),
        };
        let list = format!("{list}.{:016x}.", xxh3_64(what.as_bytes()));
        let after = match token {
            "" => None,
            token => Some(token.strip_prefix(&list).ok_or_else(foreign)?.to_owned()),
        };
        Ok(Page { list, after, limit })
    }

    pub fn is_first(&self) -> bool {
        self.after.is_none()
    }

    /// What the page before ended with: pages stay right while things come and go.
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    pub fn next(&self, last: &str) -> String {
        format!("{}{last}", self.list)
    }

    pub fn trail_after(&self) -> Result<Option<TrailPlace>, Status> {
        let Some(after) = &self.after else { return Ok(None) };
        let place = after.split_once('-').and_then(|(at, left)| Some((at.parse().ok()?, left.parse().ok()?)));
        place.map(|(at_ms, left)| Some(TrailPlace { at_ms, left })).ok_or_else(foreign)
    }

    pub fn next_in_trail(&self, place: Option<TrailPlace>) -> String {
        place.map_or_else(String::new, |place| self.next(&format!("{}-{}", place.at_ms, place.left)))
    }
}

fn foreign() -> Status {
    invalid(
        "page_token",
        "of another list, or of the same with another filter",
        "repeat the call with the values of the first page, or begin again without it",
    )
}
