//! Arguments → config → run → exit code.

/// Long runs of allocations of many sizes stay compact under it, and `Vec`s of rows are quick.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    whimbrel::cli::run()
}
