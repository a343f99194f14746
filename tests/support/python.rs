//! The Python example in a folder of its own, with its stubs made as its first lines say.

use super::tools::server;
use std::{
    path::Path,
    process::{Command, Output},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// # Panics
/// If the stubs cannot be made.
pub fn make_stubs(folder: &Path) {
    std::fs::copy(format!("{ROOT}/deploy/python/drive.py"), folder.join("drive.py")).expect("there");
    let proto = format!("-I{ROOT}/proto");
    let files =
        ["finding", "spec", "plan", "job", "store"].map(|file| format!("{ROOT}/proto/whimbrel/v1/{file}.proto"));
    let mut arguments = vec!["-m", "grpc_tools.protoc", &proto, "--python_out=.", "--grpc_python_out=."];
    arguments.extend(files.iter().map(String::as_str));
    let output = python(folder, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn python(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(server("python").join("bin/python"));
    command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("it runs")
}
