//! How answers are printed: tables for eyes, JSON and YAML for programs.

mod table;
mod words;
mod yaml;

pub use self::{
    table::{Cell, Paint, Table, painted},
    words::{bytes, count, counted, percent, rate, since, span, state_cell},
    yaml::to_yaml,
};

pub use crate::client::state_name as state;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// How to print.
#[derive(Args, Clone, Copy, Debug)]
pub struct Show {
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Output,
    /// Only what was asked for: no headings, no confirmations, nothing about what to type next.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For eyes.
    Table,
    /// A table with more columns.
    Wide,
    /// What the API answers, with its names.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Show {
    /// JSON or YAML is asked for: nothing else may be on standard output.
    pub fn is_data(self) -> bool {
        matches!(self.output, Output::Json | Output::Yaml)
    }

    pub fn is_json(self) -> bool {
        self.output == Output::Json
    }

    pub fn is_wide(self) -> bool {
        self.output == Output::Wide
    }

    pub fn is_quiet(self) -> bool {
        self.quiet
    }

    /// One document in the format that was asked for.
    pub fn data(self, data: &impl Serialize) {
        match self.output {
            Output::Yaml => out(&to_yaml(data)),
            _ => out(&format!("{}\n", serde_json::to_string_pretty(data).expect("plain data with text keys"))),
        }
    }

    /// One of several documents that come one after the other.
    pub fn next_data(self, data: &impl Serialize) {
        match self.output {
            Output::Yaml => out(&format!("---\n{}", to_yaml(data))),
            _ => out(&format!("{}\n", serde_json::to_string(data).expect("plain data with text keys"))),
        }
    }

    /// The table, or the same as data.
    pub fn list(self, table: &Table, data: &impl Serialize) {
        match self.is_data() {
            true => self.data(data),
            false => out(&table.text(self)),
        }
    }

    /// What a verb did: in words, or the answer as data.
    pub fn done(self, words: &str, data: &impl Serialize) {
        match (self.is_data(), self.quiet) {
            (true, _) => self.data(data),
            (false, true) => {}
            (false, false) => out(&format!("{words}\n")),
        }
    }

    /// What to type next; for eyes only.
    pub fn next(self, words: &str) {
        if !self.is_data() && !self.quiet {
            out(&format!("next: {words}\n"));
        }
    }
}

/// Writes to standard output. Whoever reads it may stop reading (`| head`): that is no error, and the end.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("error: standard output cannot be written: {error}");
            std::process::exit(1);
        }
        Ok(()) => {}
    }
}
