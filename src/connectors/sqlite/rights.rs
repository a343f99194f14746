//! Says whose a file is that the daemon may not write, as whom the daemon runs, and what lets it.

use crate::model::{Finding, Severity};
use std::{
    ffi::{CStr, c_char},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

/// Blocking; `text` says what cannot be done.
pub(super) fn refused(path: &Path, text: &str) -> Finding {
    let shown = path.display().to_string();
    // SAFETY: it only gives a number, and cannot fail.
    let us = unsafe { libc::geteuid() };
    let (more, mend) = match fs::metadata(path) {
        Ok(found) => way_out(&shown, found.is_dir(), found.mode(), us, found.uid()),
        Err(error) => (format!("and cannot be looked at: {error}"), format!("ls -ld '{shown}'")),
    };
    Finding::new(Severity::Blocking, &shown, format!("{text}; {more}")).mend(mend)
}

/// A word of warning where what SQLite makes beside a file would be ours alone, and the application could not open its own
/// database any more. Root gives them to the file's owner.
pub(super) fn ours_alone(path: &Path) -> Option<Finding> {
    // Its journals are beside what a link points to.
    let path = fs::canonicalize(path).ok()?;
    let folder = path.parent()?;
    let (file, beside) = (fs::metadata(&path).ok()?, fs::metadata(folder).ok()?);
    // SAFETY: they only give numbers, and cannot fail.
    let (us, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let made_in = if beside.mode() & libc::S_ISGID == 0 { group } else { beside.gid() };
    if is_shared(us, made_in, file.mode(), file.uid(), file.gid()) {
        return None;
    }
    let (shown, folder, owner, us) = (path.display(), folder.display(), name(file.uid()), name(us));
    let text = format!(
        "the file belongs to {owner} and the daemon runs as {us}: what SQLite makes beside it (-wal, -shm, -journal) is \
         {us}'s, and {owner} may not be able to open the database then"
    );
    let mend = format!(
        "chmod g+ws '{folder}' && chmod g+w '{shown}'   # with a group that both are in; or let the daemon run as {owner}"
    );
    Some(Finding::new(Severity::Warning, shown.to_string(), text).mend(mend))
}

/// What SQLite makes has the file's mode, our user, and the group `made_in`.
fn is_shared(us: u32, made_in: u32, mode: u32, owner: u32, group: u32) -> bool {
    us == 0 || us == owner || mode & 0o002 != 0 || (mode & 0o020 != 0 && made_in == group)
}

/// Whose it is, and what to type.
fn way_out(shown: &str, is_folder: bool, mode: u32, us: u32, owner: u32) -> (String, String) {
    let (user, rights) = (name(us), if is_folder { "rwx" } else { "rw" });
    let who = format!("the daemon runs as {user}, it belongs to {} (mode {:o})", name(owner), mode & 0o7777);
    let mend = match (us == owner, mode & 0o200 != 0) {
        (true, false) if is_folder => format!("chmod u+wx '{shown}'"),
        (true, false) => format!("chmod u+w '{shown}'"),
        (true, true) => format!("findmnt -T '{shown}'   # the mode allows it: is it mounted read-only?"),
        (false, _) if us == 0 => format!("findmnt -T '{shown}'   # root may: is it mounted read-only, or `chattr +i`?"),
        (false, _) => format!(
            "setfacl -m u:{user}:{rights} '{shown}'   # as its owner or root; or by a group that both are in, and g+w"
        ),
    };
    (who, mend)
}

/// A user's name, or their number.
fn name(user: u32) -> String {
    let mut buffer = [0 as c_char; 1024];
    // SAFETY: all zeroes is a value of this plain structure.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all four live through the call, and the length is the buffer's.
    let failed = unsafe { libc::getpwuid_r(user, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) } != 0;
    if failed || found.is_null() || entry.pw_name.is_null() {
        return user.to_string();
    }
    // SAFETY: it points into the buffer, and ends in a zero.
    unsafe { CStr::from_ptr(entry.pw_name) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No system has these users.
    const US: u32 = 3_999_999_901;
    const OTHER: u32 = 3_999_999_902;

    #[test]
    fn a_file_of_another_is_not_ours_to_change() {
        let (who, mend) = way_out("/a.db", false, 0o100_644, US, OTHER);
        assert_eq!(who, "the daemon runs as 3999999901, it belongs to 3999999902 (mode 644)");
        assert!(mend.starts_with("setfacl -m u:3999999901:rw '/a.db'   # as its owner or root"), "{mend}");
        assert!(way_out("/a", true, 0o40_755, US, OTHER).1.starts_with("setfacl -m u:3999999901:rwx '/a'"));
    }

    #[test]
    fn ours_is_changed_where_its_mode_is_what_forbids() {
        assert_eq!(way_out("/a.db", false, 0o100_444, US, US).1, "chmod u+w '/a.db'");
        assert_eq!(way_out("/a", true, 0o40_555, US, US).1, "chmod u+wx '/a'");
        assert!(way_out("/a.db", false, 0o100_644, US, US).1.starts_with("findmnt -T '/a.db'"));
        assert!(way_out("/a.db", false, 0o100_644, 0, OTHER).1.starts_with("findmnt -T '/a.db'"));
    }

    #[test]
    fn what_is_made_beside_a_file_is_the_application_s_too() {
        let (theirs, ours) = (3_999_999_903, 3_999_999_904);
        assert!(is_shared(0, ours, 0o100_600, OTHER, theirs), "root gives it to the owner");
        assert!(is_shared(US, ours, 0o100_600, US, theirs), "one user");
        assert!(is_shared(US, theirs, 0o100_660, OTHER, theirs), "one group, by ours or by the folder's");
        assert!(is_shared(US, ours, 0o100_666, OTHER, theirs), "open to all");
        assert!(!is_shared(US, ours, 0o100_660, OTHER, theirs), "a group that the application is not in");
        assert!(!is_shared(US, theirs, 0o100_644, OTHER, theirs), "the group may not write");
    }

    #[test]
    fn users_have_names() {
        assert_eq!(name(0), "root");
        assert_eq!(name(US), "3999999901");
    }
}
