//! Test switches: defences that can be taken away, and points where a test stops or kills the process.
//!
//! Without the feature `faults` every function here is a constant or nothing.

macro_rules! saboteurs {
    ($($name:ident)*) => {
        /// A defence that `tests/saboteurs` takes away to see a test turn red.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Saboteur {
            $($name,)*
        }

        impl Saboteur {
            /// Every defence: none is left without a proof.
            pub const ALL: &[Saboteur] = &[$(Saboteur::$name),*];
        }
    };
}

saboteurs! {
    SkipMissingPatches
    SaveBeforeApply
    AcknowledgeBeforeSave
    FoldPastDelete
    UnsetAsNull
    OtherHashAfterRestart
    TruncateNotAlone
    BeginRoundedUp
    AcknowledgeAtFastestTarget
    CheckpointInsideTransaction
    ZombieAllowed
    EpochIgnored
    CopyRangeForgotten
    TornBatchSkipped
    FetchBeforeBatch
    ConsistentWithoutMark
    TakenEvictedNow
    LaneByExactKey
    TargetBehindIgnored
    EdgeCrossed
    HeldRangeNotHeld
    FreshAfterRestart
    ReadIgnoresAfter
    MarkRoundedDown
    SourceBehindIgnored
    KeepaliveUnanswered
    ChildBeforeParent
    UpsertOverwritesHolder
    OpenSkipsLock
    ShapesBeforeBegin
    SeenNotNoted
    ParentsKeysConfused
    BeginAtLogEnd
    PreparedIgnored
    ReadBeforeShown
    CascadesUnexpanded
    LastTransactionUnproven
    AnyServerTaken
    ServerZoneTrusted
    ZeroMakesANumber
    ForeignKeysAct
    ChangedRowsCounted
    KeylessPlaceGuessed
    ShapesUnproven
    GivenBackCounted
    ParentsForgottenAtRestart
    BeginUnproven
}

#[cfg(feature = "faults")]
mod armed {
    use super::Saboteur;
    use std::{
        cell::{Cell, RefCell},
        collections::{BTreeMap, HashMap},
        sync::{
            OnceLock,
            atomic::{AtomicI64, Ordering},
        },
    };

    thread_local! {
        // Per thread: a simulation owns its thread, and others run beside it.
        static SABOTEUR: Cell<Option<Saboteur>> = const { Cell::new(None) };
        static ASKED: RefCell<HashMap<Saboteur, u64>> = RefCell::new(HashMap::new());
        static VISITS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
        static STOP: RefCell<Option<(String, u64)>> = const { RefCell::new(None) };
    }

    /// Takes one defence away on this thread, or none.
    pub fn sabotage(saboteur: Option<Saboteur>) {
        SABOTEUR.set(saboteur);
    }

    /// Whether this defence is taken away. Counts that somebody asked: a switch nobody asks for proves nothing.
    pub fn on(saboteur: Saboteur) -> bool {
        ASKED.with_borrow_mut(|asked| *asked.entry(saboteur).or_default() += 1);
        SABOTEUR.get() == Some(saboteur)
    }

    /// How often the code on this thread came to a defence.
    pub fn asked(saboteur: Saboteur) -> u64 {
        ASKED.with_borrow(|asked| asked.get(&saboteur).copied().unwrap_or(0))
    }

    /// What a task of a simulation panics with where its process "stops".
    pub struct Stopped(pub &'static str);

    /// Makes the `count`-th visit to a point on this thread panic with [`Stopped`], once.
    pub fn stop_at(plan: Option<(&str, u64)>) {
        STOP.set(plan.map(|(name, count)| (name.to_owned(), count)));
    }

    /// How often each point on this thread was visited.
    pub fn visits() -> BTreeMap<&'static str, u64> {
        VISITS.with_borrow(Clone::clone)
    }

    /// A place where the process dies by SIGKILL if `WHIMBREL_KILL=name:count` names its count-th visit, where its thread
    /// stands still from then on if `WHIMBREL_HANG=name:count` does, and where a simulated process stops (`stop_at`).
    pub fn point(name: &'static str) {
        VISITS.with_borrow_mut(|visits| *visits.entry(name).or_default() += 1);
        let stop = STOP.with_borrow_mut(|plan| match plan {
            Some((planned, left)) if planned == name && *left > 1 => {
                *left -= 1;
                false
            }
            Some((planned, _)) if planned == name => plan.take().is_some(),
            _ => false,
        });
        if stop {
            std::panic::panic_any(Stopped(name));
        }
        static KILL: Planned = OnceLock::new();
        if is_due(&KILL, "WHIMBREL_KILL", name) {
            eprintln!("killed at {name}");
            // SAFETY: raising a signal in our own process; nothing runs after it.
            unsafe { libc::raise(libc::SIGKILL) };
        }
        static HANG: Planned = OnceLock::new();
        if is_due(&HANG, "WHIMBREL_HANG", name) {
            eprintln!("hangs at {name}");
            loop {
                std::thread::park();
            }
        }
    }

    type Planned = OnceLock<Option<(String, AtomicI64)>>;

    /// Whether this is the visit that the variable `name:count` means.
    fn is_due(planned: &Planned, variable: &str, name: &str) -> bool {
        let planned = planned.get_or_init(|| {
            let plan = std::env::var(variable).ok()?;
            let (name, count) = plan.rsplit_once(':')?;
            Some((name.to_owned(), AtomicI64::new(count.parse().ok()?)))
        });
        planned.as_ref().is_some_and(|(planned, left)| planned == name && left.fetch_sub(1, Ordering::SeqCst) == 1)
    }
}

#[cfg(feature = "faults")]
pub use armed::{Stopped, asked, on, point, sabotage, stop_at, visits};

/// Whether this defence is taken away: never.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn on(_: Saboteur) -> bool {
    false
}

/// A place where a test may kill the process: nothing.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub const fn point(_: &'static str) {}
