//! How each defence is shown to be needed: green with it, red without it.

use super::plans;
use crate::{
    certify::slow_source,
    mysql::{altering, commits, copying, positions, tailing, targets, types, writing},
    simulation::{Outcome, number, plan::Plan, run, tell, traces},
};
use whimbrel::{
    certify,
    faults::{self, Saboteur},
};

/// What misses a defence.
pub enum Proof {
    /// A world, and seeds that are known to miss it; others are searched when these have become green.
    World(fn(u64) -> Plan, &'static [u64]),
    Story(fn() -> Outcome),
    /// A check of the battery for sources.
    Source(&'static str),
    /// A test on a real server, which is green with the defence as one of the tests.
    Test(fn()),
}

/// Seeds searched where none is known.
const SEARCHED: u64 = 200;

pub fn proof(saboteur: Saboteur) -> Proof {
    use Proof::{Source, Story, Test, World};
    match saboteur {
        Saboteur::SkipMissingPatches => World(plans::moving, &[74]),
        Saboteur::SaveBeforeApply => World(plans::stalling, &[4]),
        Saboteur::AcknowledgeBeforeSave => World(plans::slow_saves, &[0]),
        Saboteur::FoldPastDelete => Story(traces::lanes::torn_and_read_in_pieces),
        Saboteur::UnsetAsNull => World(Plan::new, &[3]),
        Saboteur::OtherHashAfterRestart => World(plans::torn, &[7]),
        Saboteur::TruncateNotAlone => World(Plan::new, &[0]),
        Saboteur::BeginRoundedUp => Source("begin-rounds-down"),
        Saboteur::AcknowledgeAtFastestTarget => World(Plan::new, &[5]),
        Saboteur::CheckpointInsideTransaction => World(plans::held_open, &[0]),
        Saboteur::ZombieAllowed => World(plans::broken_lines, &[1]),
        Saboteur::EpochIgnored => World(Plan::new, &[20]),
        Saboteur::CopyRangeForgotten => World(plans::broken_lines, &[4]),
        Saboteur::TornBatchSkipped => World(plans::torn, &[5]),
        Saboteur::FetchBeforeBatch => World(Plan::new, &[0]),
        Saboteur::ConsistentWithoutMark => World(Plan::new, &[1]),
        Saboteur::TakenEvictedNow => World(Plan::new, &[0]),
        Saboteur::LaneByExactKey => World(plans::case_changes, &[0]),
        Saboteur::TargetBehindIgnored => World(plans::failovers, &[4]),
        Saboteur::EdgeCrossed => World(Plan::new, &[6]),
        Saboteur::HeldRangeNotHeld => World(Plan::new, &[0]),
        Saboteur::FreshAfterRestart => World(plans::failovers, &[0]),
        Saboteur::ReadIgnoresAfter => World(plans::late_reads, &[0]),
        Saboteur::MarkRoundedDown => Source("mark-passed"),
        Saboteur::SourceBehindIgnored => World(plans::forgetful, &[1]),
        Saboteur::KeepaliveUnanswered => World(plans::stalling, &[8]),
        Saboteur::ChildBeforeParent => World(plans::splitting, &[489]),
        Saboteur::UpsertOverwritesHolder => World(Plan::new, &[87]),
        Saboteur::ShapesBeforeBegin => World(plans::failovers, &[56]),
        Saboteur::SeenNotNoted => Story(traces::copies::forgotten_after_it_was_read),
        Saboteur::OpenSkipsLock => World(plans::broken_lines, &[1]),
        Saboteur::ParentsKeysConfused => World(plans::cascading, &[177]),
        Saboteur::BeginAtLogEnd => Test(positions::a_commit_that_waits_for_its_replica_is_behind_the_begin),
        Saboteur::PreparedIgnored => Test(positions::rows_of_a_prepared_transaction_come_with_its_end),
        Saboteur::ReadBeforeShown => Test(copying::a_read_waits_for_what_is_logged_and_not_shown_yet),
        Saboteur::CascadesUnexpanded => {
            Test(tailing::children_follow_their_parents_although_the_log_is_silent_about_them)
        }
        Saboteur::LastTransactionUnproven => Test(positions::a_server_that_was_put_back_to_a_backup_is_found_out),
        Saboteur::BeginUnproven => {
            Test(positions::a_server_that_was_put_back_behind_a_begin_is_found_out_before_anything_is_applied)
        }
        Saboteur::AnyServerTaken => Test(copying::a_copy_does_not_read_on_at_a_server_that_was_left),
        Saboteur::ServerZoneTrusted => Test(types::every_type_is_read_as_it_is),
        Saboteur::ZeroMakesANumber => Test(writing::what_the_server_would_write_by_itself_is_written_by_nobody_else),
        Saboteur::ForeignKeysAct => Test(writing::children_may_come_before_their_parents),
        Saboteur::ChangedRowsCounted => Test(targets::mariadb_is_a_target),
        Saboteur::ShapesUnproven => {
            Test(altering::a_log_is_read_once_after_a_restart_unless_a_table_was_altered_meanwhile)
        }
        Saboteur::ParentsForgottenAtRestart => Story(traces::ahead::a_parents_key_is_taken_over_a_restart),
        Saboteur::GivenBackCounted => Test(commits::numbers_that_are_given_back_do_not_count),
        Saboteur::KeylessPlaceGuessed => Test(positions::a_table_without_a_key_is_copied_at_the_place_of_its_snapshot),
    }
}

impl Proof {
    /// What was red, in a line; or why nothing is proven.
    pub fn run(&self, saboteur: Saboteur) -> Result<String, String> {
        let asked = faults::asked(saboteur);
        let red = match self {
            Proof::World(plan, known) => world(saboteur, *plan, known)?,
            Proof::Story(story) => story_of(saboteur, *story)?,
            Proof::Source(check) => battery(saboteur, check)?,
            Proof::Test(test) => test_of(saboteur, *test)?,
        };
        match faults::asked(saboteur) > asked {
            true => Ok(red),
            false => Err("nobody asked for it".into()),
        }
    }
}

fn world(saboteur: Saboteur, plan: fn(u64) -> Plan, known: &[u64]) -> Result<String, String> {
    if let (Some(seed), Ok(_)) = (number("WHIMBREL_SEED"), std::env::var("WHIMBREL_SABOTEUR")) {
        let outcome = without(saboteur, || tell(plan(seed)));
        return outcome.failure.ok_or_else(|| format!("seed {seed} does not miss it"));
    }
    for seed in known.iter().copied().chain(0..SEARCHED) {
        let Some(red) = without(saboteur, || run(plan(seed))).failure else { continue };
        return match run(plan(seed)).failure {
            None => Ok(format!("seed {seed}: {}", red.lines().next().unwrap_or_default())),
            Some(green) => Err(format!("seed {seed} is red with it, too: {green}")),
        };
    }
    Err(format!("none of {SEARCHED} seeds misses it"))
}

fn story_of(saboteur: Saboteur, story: fn() -> Outcome) -> Result<String, String> {
    match (without(saboteur, story).failure, story().failure) {
        (Some(red), None) => Ok(red.lines().next().unwrap_or_default().to_owned()),
        (None, _) => Err("its story does not miss it".into()),
        (Some(_), Some(green)) => Err(format!("its story is red with it, too: {green}")),
    }
}

fn battery(saboteur: Saboteur, check: &str) -> Result<String, String> {
    let report = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let report = runtime.expect("a runtime").block_on(certify::source(&slow_source(), &[check]));
        report.failed().next().map(|line| format!("{}: {:?}", line.name, line.outcome))
    };
    match (without(saboteur, report), report()) {
        (Some(red), None) => Ok(red),
        (None, _) => Err(format!("`{check}` does not miss it")),
        (Some(_), Some(green)) => Err(format!("red with it, too: {green}")),
    }
}

fn test_of(saboteur: Saboteur, test: fn()) -> Result<String, String> {
    let red = without(saboteur, || std::panic::catch_unwind(test));
    let told = |why: Box<dyn std::any::Any + Send>| {
        let text = why.downcast_ref::<String>().cloned();
        text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    };
    match red {
        Ok(()) => Err("its test does not miss it".into()),
        Err(why) => Ok(told(why).lines().find(|line| !line.is_empty()).unwrap_or("red").to_owned()),
    }
}

fn without<T>(saboteur: Saboteur, test: impl FnOnce() -> T) -> T {
    faults::sabotage(Some(saboteur));
    let outcome = test();
    faults::sabotage(None);
    outcome
}
