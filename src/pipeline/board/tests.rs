//! What the board makes of silence.

use super::*;
use tokio::time::advance;

const PAST: Duration = Duration::from_secs(31);

fn board() -> Arc<Board> {
    Arc::new(Board::new(Arc::new(watch::Sender::new(JobStatus::default()))))
}

fn observed(board: &Board) -> Observed {
    board.show();
    board.status.borrow().targets["a"].observed
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_silent_before_the_job_begins_is_stale() {
    let board = board();
    board.phase("a", Observed::Preparing);
    assert_eq!(observed(&board), Observed::Preparing);
    advance(PAST).await;
    assert_eq!(observed(&board), Observed::Stalled);
    board.begun();
    assert_eq!(observed(&board), Observed::Preparing);
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_as_fresh_as_the_last_answer_to_it() {
    let board = board();
    board.begun();
    board.phase("a", Observed::Copying);
    advance(PAST).await;
    assert_eq!(observed(&board), Observed::Copying, "nothing was asked: its limit holds it, or the target");
    let hangs = board.waits("a", What::Source);
    advance(PAST).await;
    drop(board.waits("a", What::Source));
    board.told("a");
    assert_eq!(observed(&board), Observed::Stalled, "that another copier was answered helps it nothing");
    drop(hangs);
    assert_eq!(observed(&board), Observed::Copying);
    // One that follows must hear of the log, however short it has followed.
    board.phase("a", Observed::Streaming);
    assert_eq!(observed(&board), Observed::Streaming);
    board.up_to_date("a");
    advance(PAST).await;
    assert_eq!(observed(&board), Observed::Stalled);
    assert_eq!(board.status.borrow().targets["a"].lag_ms, None, "what was known is old");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_does_not_open_is_stale() {
    let board = board();
    board.begun();
    board.phase("a", Observed::Preparing);
    let opening = board.waits("a", What::Target);
    advance(PAST).await;
    assert_eq!(observed(&board), Observed::Stalled);
    drop(opening);
    assert_eq!(observed(&board), Observed::Preparing);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_builds_an_index_has_not_all_that_there_is() {
    let board = board();
    board.begun();
    board.phase("a", Observed::Streaming);
    board.up_to_date("a");
    let builds = board.waits("a", What::TargetBuilds);
    advance(Duration::from_secs(3)).await;
    assert_eq!(observed(&board), Observed::Streaming);
    assert_eq!(board.status.borrow().targets["a"].lag_ms, None);
    for _ in 0..25 {
        advance(Duration::from_secs(25)).await;
        board.source_answered();
    }
    assert_eq!(observed(&board), Observed::Stalled, "nothing came of it for ten minutes");
    drop(builds);
    assert_eq!(observed(&board), Observed::Streaming);
}

#[tokio::test(start_paused = true)]
async fn the_newest_trouble_is_shown() {
    let board = board();
    board.begun();
    board.phase("a", Observed::Copying);
    board.told_error("a", &Error::transient("the source hiccups"));
    let error = |board: &Board| board.status.borrow().error.clone().map(|error| error.text);
    assert_eq!(error(&board).as_deref(), Some("the source hiccups"));
    board.target_error("a", &Error::transient("the target is away"));
    assert_eq!(error(&board), None, "that is the target's");
    board.told_error("a", &Error::transient("the source hiccups"));
    board.target_answered("a");
    board.phase("a", Observed::Streaming);
    assert_eq!((observed(&board), error(&board)), (Observed::Streaming, None), "the log speaks for it now");
}
