//! The Python example, run as its first lines say, against the real binary and two SQLite files.

use crate::support::{
    daemon::Home,
    python::{make_stubs, python},
};
use std::process::Command;

#[cfg(feature = "sqlite")]
#[test]
fn a_python_program_drives_a_job() {
    let home = Home::new(&[]);
    let (shop, copy) = (home.path().join("shop.db"), home.path().join("copy.db"));
    let mut shell = Command::new("sqlite3");
    shell.arg(&shop).arg("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert!(shell.status().expect("sqlite3 runs").success());
    let urls = [&shop, &copy].map(|file| format!("sqlite:{}", file.display()));
    let home = Home::new(&[("shop", &urls[0]), ("copy", &urls[1])]);
    let daemon = home.serve();

    let folder = home.path();
    make_stubs(folder);
    let output = python(folder, &["drive.py", "--server", &daemon.address]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["plan: ok, 1 tables", "from-python: STREAMING", "from-python: PAUSED", "from-python: GONE"] {
        assert!(said.lines().any(|found| found == line), "`{line}` is missing in {said}");
    }
    let output = python(folder, &["drive.py", "--server", &daemon.address, "--source", "none"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "there is no such store");
    for part in ["STORE_NOT_FOUND", "NOT_FOUND", "hint: name one of: copy, shop"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
}
