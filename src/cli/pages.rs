//! `whimbrel completions SHELL` and `whimbrel man FOLDER`: made from the commands themselves.

use super::{Line, ended::Ended, show::out};
use crate::error::Error;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args)]
pub struct CompletionsArgs {
    /// For example: whimbrel completions bash > ~/.local/share/bash-completion/completions/whimbrel
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub struct ManArgs {
    /// Where the pages are written, one for each command.
    folder: PathBuf,
}

pub fn completions(args: &CompletionsArgs) -> Result<(), Ended> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Line::command(), "whimbrel", &mut text);
    out(&String::from_utf8_lossy(&text));
    Ok(())
}

pub fn man(args: &ManArgs) -> Result<(), Ended> {
    let folder = args.folder.display();
    let unwritable = |error| {
        let hint = "name a folder that this user may write";
        Error::config(format!("man pages cannot be written to {folder}")).because(error).hint(hint)
    };
    std::fs::create_dir_all(&args.folder).map_err(unwritable)?;
    clap_mangen::generate_to(Line::command(), &args.folder).map_err(unwritable)?;
    out(&format!("man pages are in {folder}\n"));
    Ok(())
}
