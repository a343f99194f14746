//! Arguments → config → run → exit code.

fn main() -> std::process::ExitCode {
    stay_small();
    whimbrel::cli::run()
}

/// Rows come and go in slabs of a megabyte or two, made on one thread and dropped on another. The system's allocator
/// gives those back at once if it is told to (measured: 199 MB at the peak of a backlog with mimalloc, 60 MB so).
fn stay_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: documented calls with documented values, before any thread is started.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 4);
    }
}
