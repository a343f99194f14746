//! Compiles the control API without a system protoc and keeps the descriptor set for reflection.

use prost::Message;
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    // The services' files; they import the others.
    let files = ["proto/whimbrel/v1/job.proto", "proto/whimbrel/v1/store.proto"];
    println!("cargo:rerun-if-changed=proto/whimbrel/v1");
    println!("cargo:rerun-if-changed=proto/build.rs");
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("whimbrel.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
