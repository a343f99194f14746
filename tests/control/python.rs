//! The Python example, run as its first lines say, against the real binary and two SQLite files.

use crate::support::{daemon::Home, tools::server};
use std::{
    path::Path,
    process::{Command, Output},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn python(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(server("python").join("bin/python"));
    command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("it runs")
}

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
    std::fs::copy(format!("{ROOT}/deploy/python/drive.py"), folder.join("drive.py")).expect("there");
    let (proto, files) = (format!("-I{ROOT}/proto"), ["finding", "spec", "plan", "job", "store"]);
    let files = files.map(|file| format!("{ROOT}/proto/whimbrel/v1/{file}.proto"));
    let mut stubs = vec!["-m", "grpc_tools.protoc", &proto, "--python_out=.", "--grpc_python_out=."];
    stubs.extend(files.iter().map(String::as_str));
    let output = python(folder, &stubs);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let output = python(folder, &["drive.py", "--address", &daemon.address]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["plan: ok, 1 tables", "from-python: STREAMING", "from-python: PAUSED", "from-python: GONE"] {
        assert!(said.lines().any(|found| found == line), "`{line}` is missing in {said}");
    }
    let output = python(folder, &["drive.py", "--address", &daemon.address, "--source", "none"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "there is no such store");
    for part in ["STORE_NOT_FOUND", "NOT_FOUND", "hint: name one of: copy, shop"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
}
