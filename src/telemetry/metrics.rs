//! The names of all metrics, their labels and what they mean; the README's list is held to this one by a test.

/// One family of `/metrics`.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// A sentence for people, without its full stop.
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// Counters start at 0 with the daemon. Their names end in `_total`.
const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

/// Not `job`: Prometheus has its own label of that name, and would call ours `exported_job`.
const JOB: &[&str] = &["job_name"];
const TARGET: &[&str] = &["job_name", "target"];
const TABLE: &[&str] = &["job_name", "target", "table"];

pub static BUILD_INFO: Metric = gauge("whimbrel_build_info", &["version"], "1; the label says which version runs");
pub static JOBS: Metric = gauge("whimbrel_jobs", &["state"], "Jobs in this observed state");
pub static READY: Metric = gauge("whimbrel_ready", &[], "1: state is open and the control API listens (as /readyz)");
pub static TASKS: Metric = gauge("whimbrel_tasks", &[], "Tasks that are looked after");
pub static TASKS_LATE: Metric =
    gauge("whimbrel_tasks_late", &[], "Tasks whose loop has not turned for 30 s; the watchdog is not fed meanwhile");
pub static ROWS_IN_FLIGHT: Metric =
    gauge("whimbrel_rows_in_flight_bytes", &[], "Bytes of rows that all jobs hold between source and target");
pub static ROWS_IN_FLIGHT_LIMIT: Metric =
    gauge("whimbrel_rows_in_flight_limit_bytes", &[], "The bound of these bytes: memory.rows_in_flight_mib");
pub static STATE_FLUSH: Metric = Metric {
    name: "whimbrel_state_flush_seconds",
    kind: Kind::Histogram,
    labels: &[],
    help: "Until a write of the state was durable on the disk",
};
pub static STATE_DISK_FREE: Metric =
    gauge("whimbrel_state_disk_free_bytes", &[], "Free on the file system that holds the state folder");
pub static STATE_DISK_SIZE: Metric =
    gauge("whimbrel_state_disk_size_bytes", &[], "Size of the file system that holds the state folder");

pub static JOB_STATE: Metric =
    gauge("whimbrel_job_state", &["job_name", "state"], "1 for the state the job is observed in, 0 for all others");
pub static JOB_DESIRED: Metric =
    gauge("whimbrel_job_desired", &["job_name", "state"], "1 for what was asked for: created, run, pause or delete");
pub static HELD_CHANGES: Metric =
    gauge("whimbrel_source_log_held_changes", JOB, "Changes in the source's log that the job still needs");
pub static HELD_BYTES: Metric =
    gauge("whimbrel_source_log_held_bytes", JOB, "Bytes of the source's log that the job still needs");
pub static HELD_OLDEST: Metric = gauge(
    "whimbrel_source_log_held_oldest_timestamp_seconds",
    JOB,
    "When the oldest change that the job still needs was committed",
);
pub static HELD_KEPT: Metric = gauge(
    "whimbrel_source_log_kept_seconds",
    JOB,
    "How long the source keeps its log, also where the job needs it; absent where it has no bound",
);
pub static ERRORS: Metric = counter(
    "whimbrel_errors_total",
    &["job_name", "target", "kind"],
    "Errors by what they ask for; without a target: of the job's source, or what stopped the job as a whole",
);

pub static TARGET_STATE: Metric = gauge(
    "whimbrel_target_state",
    &["job_name", "target", "state"],
    "1 for the state the target is observed in, 0 for all others",
);
pub static LAG: Metric = gauge(
    "whimbrel_lag_seconds",
    TARGET,
    "From the source's commit to ours, of the newest batch, or the age of what waits; 0 with nothing to apply",
);
pub static BEHIND: Metric =
    gauge("whimbrel_behind_changes", TARGET, "Changes in the source's log that the target lacks");
pub static APPLIED_CHANGES: Metric = counter(
    "whimbrel_applied_changes_total",
    TARGET,
    "Changes of the log, and copied rows, that are durable in the target",
);
pub static APPLIED_BYTES: Metric =
    counter("whimbrel_applied_bytes_total", TARGET, "Bytes of rows of these changes, as held in memory");
pub static LAST_WRITE: Metric =
    gauge("whimbrel_last_write_timestamp_seconds", TARGET, "When a batch was last durable in the target");
pub static LAST_ANSWER: Metric = gauge(
    "whimbrel_last_answer_timestamp_seconds",
    TARGET,
    "When the source last answered for this target, with changes or with the news that there are none",
);
pub static TABLES: Metric = gauge(
    "whimbrel_tables",
    &["job_name", "target", "state"],
    "Tables of the job in this state in the target; gone: the source has them no more",
);
pub static COPIED_ROWS: Metric = gauge(
    "whimbrel_table_copied_rows",
    TABLE,
    "Rows copied so far; many tables of a target are summed under the name *",
);
pub static COPIED_BYTES: Metric = gauge("whimbrel_table_copied_bytes", TABLE, "Bytes of rows copied so far");
pub static COPIED_SHARE: Metric =
    gauge("whimbrel_table_copied_ratio", TABLE, "Share of the table's copy that is done, 0 to 1");

pub static PROCESS_CPU: Metric = counter("process_cpu_seconds_total", &[], "Seconds of processor time");
pub static PROCESS_RESIDENT: Metric = gauge("process_resident_memory_bytes", &[], "Resident memory");
pub static PROCESS_VIRTUAL: Metric = gauge("process_virtual_memory_bytes", &[], "Virtual memory");
pub static PROCESS_THREADS: Metric = gauge("process_threads", &[], "Threads of the operating system");
pub static PROCESS_OPEN_FDS: Metric = gauge("process_open_fds", &[], "Open file descriptors");
pub static PROCESS_MAX_FDS: Metric = gauge("process_max_fds", &[], "The bound of open file descriptors");
pub static PROCESS_START: Metric =
    gauge("process_start_time_seconds", &[], "When the process started, seconds since 1970");

/// In the order of `/metrics`.
pub static ALL: &[&Metric] = &[
    &BUILD_INFO,
    &READY,
    &JOBS,
    &TASKS,
    &TASKS_LATE,
    &ROWS_IN_FLIGHT,
    &ROWS_IN_FLIGHT_LIMIT,
    &STATE_FLUSH,
    &STATE_DISK_FREE,
    &STATE_DISK_SIZE,
    &JOB_STATE,
    &JOB_DESIRED,
    &HELD_CHANGES,
    &HELD_BYTES,
    &HELD_OLDEST,
    &HELD_KEPT,
    &ERRORS,
    &TARGET_STATE,
    &LAG,
    &BEHIND,
    &APPLIED_CHANGES,
    &APPLIED_BYTES,
    &LAST_WRITE,
    &LAST_ANSWER,
    &TABLES,
    &COPIED_ROWS,
    &COPIED_BYTES,
    &COPIED_SHARE,
    &PROCESS_CPU,
    &PROCESS_RESIDENT,
    &PROCESS_VIRTUAL,
    &PROCESS_THREADS,
    &PROCESS_OPEN_FDS,
    &PROCESS_MAX_FDS,
    &PROCESS_START,
];
