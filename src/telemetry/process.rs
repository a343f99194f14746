//! What this process takes of the machine, as the kernel says.

use std::{
    ffi::CString,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// `None`: the kernel does not say.
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub cpu_s: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
}

/// Free and whole bytes of the file system that holds a folder.
pub struct Disk {
    pub free_bytes: u64,
    pub size_bytes: u64,
}

impl Process {
    /// Reads `/proc/self`: some tens of microseconds.
    pub fn now() -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
        };
        Process {
            cpu_s: cpu_s(),
            resident_bytes: number("VmRSS:").map(|kib| kib << 10),
            virtual_bytes: number("VmSize:").map(|kib| kib << 10),
            threads: number("Threads:"),
            // One of them is the folder that is just being read.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|open| (open.count() as u64).saturating_sub(1)),
            max_fds: max_fds(),
        }
    }
}

/// When this process was first asked, seconds since 1970: at its start.
pub fn started_s() -> f64 {
    static STARTED: OnceLock<f64> = OnceLock::new();
    *STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
}

fn cpu_s() -> Option<f64> {
    // SAFETY: a structure of plain numbers, filled by the call.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let asked = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (asked == 0).then(|| seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

fn max_fds() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the structure that it is given.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (asked == 0).then_some(limit.rlim_cur)
}

/// Of the file system below `folder`.
pub fn disk(folder: &Path) -> Option<Disk> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: a structure of plain numbers, filled by the call; the path ends with a zero.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    let asked = unsafe { libc::statvfs(path.as_ptr(), &raw mut found) };
    let bytes = |blocks: libc::fsblkcnt_t| blocks.saturating_mul(found.f_frsize);
    (asked == 0).then(|| Disk { free_bytes: bytes(found.f_bavail), size_bytes: bytes(found.f_blocks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_all_of_it() {
        let now = Process::now();
        assert!(now.cpu_s.is_some_and(|seconds| seconds >= 0.0));
        assert!(now.resident_bytes < now.virtual_bytes);
        assert!(now.open_fds.is_some_and(|open| open >= 3) && now.open_fds < now.max_fds);
        assert!(now.threads >= Some(1));
        assert!(disk(Path::new("/")).is_some_and(|disk| disk.free_bytes <= disk.size_bytes && disk.size_bytes > 0));
        assert!(disk(Path::new("/no/such/folder")).is_none());
    }
}
