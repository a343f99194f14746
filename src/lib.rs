//! Whimbrel keeps two databases in step without stopping either.
//!
//! It copies what a source store holds, then tails its change feed and writes batches of mutations to one or several
//! target stores, until you cut over or for ever. This page tells how the house is built; each module starts with its
//! own sentence.
//!
//! # The way of a row
//!
//! ```text
//! config → supervisor → pipeline::run     source.begin, saved before the first row is read
//!          copy      range → Prefetch → Routed → Lanes::apply_copy → ledger (range done)
//!          tail      Feed → Resolve → Routed → Tee ─┬→ Tap → Pump → Lanes::apply → ledger → acknowledge
//!                                                   └→ Tap → Pump → …          one per target
//! ```
//!
//! A table copy is a feed that ends, a tail is a feed that does not. Whatever a feed needs on its way (rows for keys,
//! other names, reading ahead, sharing) is a decorator with the same trait. The loop itself ([`pipeline`], `pump.rs`)
//! is four verbs: `next → apply → save → acknowledge`.
//!
//! **Recovery is the start path.** An error of the feed drops the feed; a lost target is opened again and asked where it
//! stands. A batch stays in hand while its target is away: the source's log is not read again because a target is slow.
//!
//! # Words
//!
//! A *store* is named in the config; a *source* is read, a *target* is written, by the *connector* for its kind. A *feed*
//! yields *batches* of *mutations*, in the order of one *partition* of the log, from one *position* to another. A
//! *checkpoint* is a position per partition, a *mark* is the goal "everything committed until now". *Lanes* apply a batch
//! side by side; a *watermark* in the target says what each has applied. *Progress* is what is durable for one target of
//! a job; *state* keeps it. An *epoch* grows with each opening of a target, so that an older daemon is refused.
//!
//! # Floors: imports go down only
//!
//! ```text
//! 4  main, cli
//! 3  control, client, http                    the first two alone know tonic, and prost but for a driver
//! 2  supervisor
//! 1c certify · plan
//! 1b pipeline · connectors/* · state/sled                       neighbours do not import each other
//! 1a source, target, state, fixture (contracts)
//! 0  model, error, faults, config, telemetry
//! ```
//!
//! A driver crate is imported in its connector's folder only, sled in `state/sled` only; only `pump.rs` moves a
//! position; only `pipeline/retry.rs` waits before it tries again. `tests/tidy` holds these.
//!
//! # Fuzzy copy, then converge
//!
//! `begin` is saved, then tables are copied in ranges while the source changes, then the log is replayed from `begin`.
//! Upserts and deletes that the copy has seen already change nothing; a change the copy missed is in the log. So there
//! is no lock, no long transaction and no marker table. A table is *consistent* once everything up to the mark, taken
//! after its last range was read, is applied; then its unique indexes are made (`finish`), and only then it is
//! Streaming. From there on only fetched rows may be ahead of the position.
//!
//! A change that does not hold its whole row is made whole by `fetch`: `Touched` keys in [`pipeline`]'s `resolve.rs`,
//! before the tee; patches that find no row (`Missing`) by the lane that met it. The fetched row is at or after its
//! batch (R2), and whatever is later is replayed.
//!
//! Rows of wide-column and schema-free stores carry named fields beyond the shape, with write times (`model`'s `cell.rs`),
//! and their logs tell of some fields (`Merge`). A target that wants columns is given them by `pipeline`'s `flat`, in
//! front of the source: declared fields become columns, the rest one JSON column, and a `Merge` a `Touched`.
//!
//! Rows in the target may so be ahead of its checkpoint, and a source that is put back to a backup from between the two
//! says nothing of them. What reads have shown (`Source::seen`) is therefore durable in state before a copied or
//! fetched row is written, and the end of a batch vouches for the rows fetched for it (`Source::cut`); the start proves
//! both (invariant 8, `witness.rs`).
//!
//! Shapes are read after `begin`: an `ALTER` just before it is in no log. Below the consistent point a target is never
//! altered; a row that was fetched with newer columns puts that point behind the log's own change of the shape.
//!
//! A key is what its *store* takes for one: `fetch` finds 'A' under 'a' where case does not count. A target that compares
//! as coarsely would otherwise be told that the row is gone. And the target must show a key as the source spells it, since
//! sweeps ask the source for what it shows.
//!
//! A target keeps a column that the source drops, with its values, and notes which it was prepared with. One that comes
//! back finds them there: the table is then copied again. One that is noted and gone was taken away by hand, and is missed.
//!
//! A table is copied again on a running job in *held ranges*: slices read by the tee behind the last batch it handed out
//! and placed before the next. Rows that the source lacks are swept the same way. A table without a key cannot be cut
//! into ranges; it is emptied and copied in one read at a known position, and changes up to there are dropped.
//!
//! # The lane protocol
//!
//! Each target keeps `whimbrel_job(uuid, spec, tables, epoch, token)` and
//! `whimbrel_watermark(job, feed, lane, lanes, hash_version, epoch, batch, from_pos, to_pos)`.
//!
//! 1. `open` locks all rows of the job, refuses a newer epoch (or an equal one with another daemon's token), writes ours.
//!    Every opening has an epoch of its own, saved before it is claimed. (Not only every start: a request that was on its
//!    way over an earlier connection of the same daemon could otherwise land late, for a copy lane that nobody used
//!    since, and bring a deleted row back.)
//! 2. Batch n on lane i is one transaction: first the watermark row moves to n, where the epoch is ours and its batch is
//!    lower, then the rows, then commit. Copies too, one lane a connection. On top of a gap (no lane of the feed has
//!    n - 1: the target was restored in place) nothing is applied.
//! 3. Batch n+1 starts after all lanes of n have answered. An idle log becomes an empty batch at most every 10 s, and one
//!    that stands still at least every 20 s: the target is there, and has what it confirmed.
//! 4. A lost answer is looked up in the watermark, never guessed.
//! 5. After a restart: if all lanes of the newest batch have it, go on at `to`; else exactly `(from, to]` is read again,
//!    split by the stored lane count and hash, and given to the lanes that lack it. Ranges go on after their key.
//! 6. Changes of a whole table are alone in their batch, on lane 0.
//! 7. A deadlock repeats one lane's transaction; committed lanes stay.
//! 8. State keeps, per feed and lane, the last number the target confirmed. A target ahead of it is right. A target behind
//!    it has lost commits: tables that were not consistent there are copied again, and the log is rewound, or Lost. For
//!    that the source is acknowledged some minutes late (`retain_after_apply`). Each copy of a table has a *generation*,
//!    noted in the target before its first row: where state knows of another one, either of the two is older, and the
//!    table is copied again.
//! 9. One feed serves all targets of a job; their positions are edges that no batch crosses. One that takes nothing for a
//!    minute is left behind, and the source keeps the log from there.
//! 10. A target without transactions takes keyed changes only; its watermark is written after the data.
//! 11. Transactional mode is one lane whose transaction stays open until a batch completes it.
//!
//! # Invariants, cited where they are kept
//!
//! 1. Apply before save; save before acknowledge.
//! 2. Only the pump moves a position.
//! 3. A saved checkpoint is a transaction boundary; inside a transaction larger than the budget the position also holds
//!    the ordinal; a batch never holds uncommitted changes.
//! 4. Per key, as the target compares keys, mutations arrive in source order.
//! 5. A lane applies a batch once.
//! 6. Every queue, wait and buffer has a bound.
//! 7. Nothing is skipped silently.
//! 8. A start proves the log continuous from the saved position, and that the source's end is not before it, or is Lost.
//! 9. Status is computed from evidence; what is stale is Stalled, with the cause.
//! 10. A checker that could not check says "unknown", never "same".
//! 11. R1: `begin` rounds down, `mark` rounds up.
//! 12. R2: every read made for the engine sees all transactions at or before its `after`.
//!
//! A defence counts only if a test turns red without it: [`faults`] has one switch per defence, `tests/saboteurs` turns
//! each on and demands a red test.
//!
//! # Decisions, with the reason
//!
//! - Each target of a job copies for itself; only the log is read once for all. Targets copy at different speeds and fail
//!   apart; one read for all would hold the fast one at the pace of the slow one for hours, and a copy is read once.
//! - A job's tables are those of its `begin`, kept with it: one that is dropped while no daemon runs and made anew later
//!   is still followed, and one that came later is not in the log that was reserved:
//!   status names it. A name in its file that finds no table is refused, or nobody would miss that table.
//! - `existing: merge` keeps rows of others and therefore cannot tell them from rows of ours that went without a word in
//!   the log (a table made anew, `VACUUM` of row numbers): those stay, and a line in the log says so. Where such a row
//!   holds a unique value that one of ours wants, the target stops.
//! - Tables are copied before the tail starts, not beside it: the log waits at the source, where it is durable already.
//! - A [`plan`] makes the very check that a start makes (`pipeline::check`), so that one that blocks nothing starts, and a
//!   table that cannot be read is not left out without a word. Times are measured, by copying for a second or two into a
//!   scratch target of the same kind and setting, where the system keeps temporary files: beside the target nothing is
//!   written.
//! - MariaDB servers have no identity. One is its number, host, port and folder; that it is not an older state of itself
//!   is proven by the log. A position has five parts: all before it (`at`); where reading starts (`since`: one transaction
//!   earlier, or before what is prepared); who that last transaction was (`proof`: the number and the second of its first
//!   event, which replicas keep; met again at each start: an older state of a server that writes another transaction under
//!   that number within the same second is not told apart); what reads have shown beyond it (`seen`); and a sum of the
//!   tables' shapes there (`shapes`). A snapshot shows less than the log has, since a commit is logged before it is
//!   visible: a begin takes the snapshot's end, a mark the log's.
//! - Rows of the log are read with the shapes of their time, which only the catalogue tells, and that of now. Where its
//!   shapes are those of the position, they hold until the log itself says otherwise. Where they are not, the log is looked
//!   through first, up to where the catalogue was read (`history`): a second reading, once.
//! - MySQL has an identity (`server_uuid`) and numbers (GTID sets). A number counts as executed behind the moment from
//!   which reads show its rows, and is owned until then, or given back: a begin takes what is executed, a mark what is in
//!   commit besides. Where GTIDs are off, and in 5.6, the log is ahead of what reads show, and the engine is asked which
//!   transactions it holds as prepared. Without numbers a position is a file and an offset, the sum of what the stream
//!   brought (the server tells 32 bits of it, and past them is asked for the whole file), proven by the place and second
//!   of the last transaction. Documents are decoded to the server's own text; what is not certain is fetched.
//! - What foreign keys do to children is not in MariaDB's log (nor in MySQL's before 9.6): the tail expands a parent's
//!   change (`cascades`) into those of its children. A target's own keys do not act on our connections, or it would
//!   happen twice. Rows that were read ahead of the log may point to a parent's later key already: children of one that
//!   takes an earlier one's key are copied again (`vanished`), after a restart those of any new key for a while.
//! - `ON DUPLICATE KEY UPDATE` takes any unique index for the key, and would overwrite another row without a word. It is
//!   guarded: where the row it found has another key, a query of two rows where one may be makes it fail (error 1242),
//!   and the holder is looked up. A batch takes one round trip: the text that writes it fails by itself where the lanes did
//!   not move, and ends in its commit. Only where patches must have found their rows is the commit asked for apart.
//! - While a target is busy the tail reads on (`Feed::ahead`): what waits becomes one batch as large as one may be, so that
//!   a target far away takes few round trips, and a near one folds more.
//! - Where a MariaDB server is within a millisecond, rows go by its bulk protocol, which reads a statement once for a
//!   thousand rows, and costs a round trip for each thousand. Farther away text is faster.
//! - A server that keeps rows in the order of their keys is written by lanes that take whole blocks of keys, and in that
//!   order: lanes that write neighbours would wait for each other's pages, and split them.
//! - Between MySQL and MariaDB, and into an older server, a table is made from the source's own statement, line by line in
//!   the other's words (`translation`). What might mean something else there (an expression, a rule that compares texts) is
//!   not carried but told, and a column that only the source computes takes the source's values: rows are exact, rules are
//!   as near as can be. Where a key depends on it, texts that differ at the source differ in the target, or it is refused.
//! - Keys go to lanes by their plain letters and digits. Some collations take letters for others (i for y in Lithuanian;
//!   measured on the servers): such keys are not told apart, and their batches take one lane.
//! - Forgetting the last job drops our tables in a server. Whoever takes a job over there, or forgets one, holds the
//!   server's advisory lock of that name, or a claim between the look and the drop would lose its watermark.
//! - A change of a table commits whatever is open, in MariaDB and MySQL. A transactional target that meets one within a
//!   transaction rolls that back, changes the table, and has the transaction replayed from its beginning.
//! - Rows are bytes in a slab ([`model`]): five times cheaper than owned values, and one encoding for
//!   memory, disk and hash.
//! - One guard stands before every call of the control API (`control/access`): who calls is proven by a token or a
//!   certificate, never told by the caller, and a call that nobody gave a role does not pass the tests. Secrets are read
//!   when a store is opened and live nowhere else; errors never show a value that could be one in the wrong place.
//! - State saves at most once a second: the watermark in the target is the truth, saving late only costs a look at it.

pub mod config;
pub mod error;
pub mod faults;
pub mod model;
pub mod service;
pub mod shutdown;
pub mod telemetry;

pub mod fixture;
pub mod source;
pub mod state;
pub mod target;

pub mod connectors;
pub mod pipeline;

pub mod certify;
pub mod plan;

pub mod supervisor;

pub mod client;
pub mod control;
pub mod http;

pub mod cli;
pub mod demo;
