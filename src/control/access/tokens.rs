//! Bearer tokens: their files become hashes, and what a call sends is looked for among them.

use crate::{
    config::{Role, TokenConfig, private_file},
    error::Error,
};
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;
/// A longer header is not worth a hash.
pub const LONGEST: usize = 256;
/// The old one and the new one while a token is changed, and some for those who share a file.
const PER_FILE: usize = 16;

/// Who a token stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Holder {
    /// As in the config.
    pub name: String,
    pub role: Role,
}

/// Hashes only. A token has so much chance in it that a plain hash cannot be searched backwards.
#[derive(Default)]
pub struct Tokens {
    known: Vec<([u8; 32], Arc<Holder>)>,
    /// The config names some, whatever their files hold.
    are_asked_for: bool,
}

impl Tokens {
    /// What the files hold, and what is wrong with them. What cannot be read is no token: whoever takes one away, in
    /// whatever way, has taken it away.
    pub fn read(configs: &BTreeMap<String, TokenConfig>) -> (Tokens, Option<Error>) {
        let mut known: Vec<([u8; 32], Arc<Holder>)> = Vec::new();
        let mut wrong = None;
        // Whose they are would be a guess.
        let mut shared: BTreeSet<[u8; 32]> = BTreeSet::new();
        for (name, config) in configs {
            let holder = Arc::new(Holder { name: name.clone(), role: config.role });
            let (hashes, bad) = hashes(config);
            wrong = wrong.or(bad.map(|error| {
                let file = config.file.display();
                Error::config(format!("`tokens.{name}.file`: {file}")).because(error).hint(format!(
                    "one token a line, {SHORTEST} to {LONGEST} letters, digits and signs, readable by the daemon's \
                     user; make one with `(umask 077; openssl rand -hex 32 > {file})`"
                ))
            }));
            for hash in hashes {
                match known.iter().find(|(known, _)| *known == hash) {
                    None => known.push((hash, Arc::clone(&holder))),
                    Some((_, other)) if other.name == *name => {}
                    Some((_, other)) => {
                        shared.insert(hash);
                        let text = format!("`tokens`: `{}` and `{name}` share a token", other.name);
                        let hint = "give each a token of its own: the audit trail tells them apart by it";
                        wrong = wrong.or_else(|| Some(Error::config(text).hint(hint)));
                    }
                }
            }
        }
        known.retain(|(hash, _)| !shared.contains(hash));
        (Tokens { known, are_asked_for: !configs.is_empty() }, wrong)
    }

    /// Whether a call needs one.
    pub fn are_asked_for(&self) -> bool {
        self.are_asked_for
    }

    /// Takes as long for a wrong token as for a right one, wherever the right one stands.
    pub fn holder(&self, token: &[u8]) -> Option<Arc<Holder>> {
        let hash = hash(token);
        let mut found = None;
        for (known, holder) in &self.known {
            if verify_slices_are_equal(known, &hash).is_ok() {
                found = Some(holder);
            }
        }
        found.map(Arc::clone)
    }

    /// What is new against `before`, for a log line; empty if nothing is.
    pub fn news(&self, before: &Tokens) -> Vec<String> {
        let (old, new) = (before.by_name(), self.by_name());
        let mut news = Vec::new();
        for (name, held) in &new {
            match old.get(name) {
                None => news.push(format!("token {name} added")),
                Some(before) if before.0 != held.0 => {
                    news.push(format!("token {name} has the role {}", held.0.name()));
                }
                Some(before) if before.1 != held.1 => news.push(format!("token {name} changed")),
                Some(_) => {}
            }
        }
        news.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("token {name} removed")));
        news
    }

    fn by_name(&self) -> BTreeMap<&str, (Role, BTreeSet<&[u8; 32]>)> {
        let mut all: BTreeMap<&str, (Role, BTreeSet<&[u8; 32]>)> = BTreeMap::new();
        for (hash, holder) in &self.known {
            all.entry(&holder.name).or_insert_with(|| (holder.role, BTreeSet::new())).1.insert(hash);
        }
        all
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, token).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The good lines, and what is wrong with the others. No error here shows a line.
fn hashes(config: &TokenConfig) -> (Vec<[u8; 32]>, Option<io::Error>) {
    let bytes = match private_file::read(&config.file) {
        Ok(bytes) => bytes,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let (mut hashes, mut wrong) = (Vec::new(), None);
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#")) {
        if (SHORTEST..=LONGEST).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic) {
            hashes.push(hash(line));
        } else {
            wrong.get_or_insert_with(|| io::Error::other(format!("line {} is no token", number + 1)));
        }
    }
    if hashes.is_empty() {
        wrong.get_or_insert_with(|| io::Error::other("holds no token"));
    } else if hashes.len() > PER_FILE {
        wrong.get_or_insert_with(|| io::Error::other(format!("holds more than {PER_FILE} tokens")));
        hashes.truncate(PER_FILE);
    }
    (hashes, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use std::fs;

    fn read(files: &[(&str, Role, &str)]) -> Result<Tokens> {
        let (tokens, wrong) = read_all(files);
        assert!(tokens.are_asked_for());
        wrong.map_or(Ok(tokens), Err)
    }

    fn read_all(files: &[(&str, Role, &str)]) -> (Tokens, Option<Error>) {
        let folder = tempfile::tempdir().expect("a temp folder");
        let config = |(name, role, text): &(&str, Role, &str)| {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("ours");
            ((*name).to_owned(), TokenConfig { role: *role, file })
        };
        Tokens::read(&files.iter().map(config).collect())
    }

    const A: &str = "0123456789abcdef-a";
    const B: &str = "0123456789abcdef-b";

    #[test]
    fn whoever_sends_it_is_its_holder() {
        let two = format!("# the old one\n{A}\n\n  {B}\r\n");
        let tokens = read(&[("ops", Role::Operate, &two)]).expect("good");
        for token in [A, B] {
            let holder = tokens.holder(token.as_bytes()).expect("known");
            assert_eq!((holder.name.as_str(), holder.role), ("ops", Role::Operate));
        }
        for wrong in ["", "# the old one", &A[1..], &format!("{A} "), &two] {
            assert_eq!(tokens.holder(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn bad_files_are_refused_and_not_repeated() {
        for text in
            ["", "# nothing\n", "hunter2\n", "correct horse battery staple\n", &"x".repeat(257), "ünïcödé-ünïcödé\n"]
        {
            let error = read(&[("ops", Role::Read, text)]).err().expect("refused");
            let shown = format!("{error:?}");
            assert!(shown.contains("tokens.ops.file") && shown.contains("openssl rand"), "{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("horse"), "{shown}");
        }
        let many: String = (0..17).map(|number| format!("0123456789abcdef-{number}\n")).collect();
        assert!(read(&[("ops", Role::Read, &many)]).is_err());
        let shared = read(&[("a", Role::Read, A), ("b", Role::Admin, A)]).err().expect("refused");
        let (tokens, wrong) = read_all(&[("a", Role::Read, A), ("b", Role::Admin, A), ("c", Role::Admin, A)]);
        assert!(wrong.is_some() && tokens.holder(A.as_bytes()).is_none(), "whose it is would be a guess");
        assert!(read(&[("a", Role::Read, &format!("{A}\n{A}\n"))]).is_ok(), "its own, twice");
        assert!(shared.to_string().contains("`a` and `b` share a token") && !shared.to_string().contains(A));
    }

    #[test]
    fn news_name_what_changed() {
        let before = read(&[("a", Role::Read, A), ("b", Role::Read, B)]).expect("good");
        let after = read(&[("a", Role::Admin, A), ("c", Role::Read, B)]).expect("good");
        assert_eq!(after.news(&before), ["token a has the role admin", "token c added", "token b removed"]);
        let rotated = read(&[("a", Role::Read, B)]).expect("good");
        assert_eq!(rotated.news(&before), ["token a changed", "token b removed"]);
        assert!(before.news(&before).is_empty());
    }
}
