//! Refuses keys that nobody reads, with their path and the known key that comes closest.

use crate::error::{Error, Result};
use config::ConfigError;
use serde_json::Value;

/// `known`: the tree of keys; `*` stands for any name, `null` for any value, and a list's first item for all of them.
pub fn check(given: &config::Config, known: &Value, where_all_are: &str) -> Result<()> {
    let given: Value = given.clone().try_deserialize().map_err(explain)?;
    let mut unknown = Vec::new();
    walk(&given, known, "", &mut unknown);
    if unknown.is_empty() {
        return Ok(());
    }
    let mut paths = Vec::new();
    list(known, "", &mut paths);
    let hints: Vec<String> = unknown
        .iter()
        .map(|key| match nearest(key, &paths) {
            Some(near) => format!("did you mean `{near}`?"),
            None => where_all_are.to_owned(),
        })
        .collect();
    let unknown: Vec<String> = unknown.iter().map(|key| format!("`{key}`")).collect();
    let error = Error::config(format!("unknown key {}", unknown.join(", ")));
    Err(error.hint(hints.first().expect("one per key").as_str()))
}

fn walk(given: &Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given {
                let path = join(path, key);
                match known.get(key).or_else(|| known.get("*")) {
                    Some(known) => walk(value, known, &path, unknown),
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, value) in given.iter().enumerate() {
                known.first().inspect(|known| walk(value, known, &format!("{path}[{index}]"), unknown));
            }
        }
        // Values are judged when they are read into their types.
        _ => {}
    }
}

fn list(known: &Value, path: &str, paths: &mut Vec<String>) {
    match known {
        Value::Object(known) => {
            for (key, value) in known {
                let path = join(path, key);
                paths.push(path.clone());
                list(value, &path, paths);
            }
        }
        Value::Array(known) => known.iter().for_each(|known| list(known, &format!("{path}[0]"), paths)),
        _ => {}
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known path that is at most a third of its length away, or that ends in the same key.
fn nearest(key: &str, paths: &[String]) -> Option<String> {
    let named: Vec<String> = paths.iter().map(|path| with_names_of(key, path)).collect();
    let close = named.iter().map(|path| (distance(key, path), path)).min_by_key(|(distance, _)| *distance);
    if let Some((_, path)) = close.filter(|(distance, path)| *distance * 3 <= path.len().max(3)) {
        return Some(path.clone());
    }
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    named.iter().find(|path| last(path) == last(key)).cloned()
}

/// The name that was probably meant.
pub fn nearest_name<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = names.into_iter().map(|name| (distance(given, name), name)).min_by_key(|(distance, _)| *distance);
    close.filter(|(distance, name)| *distance * 2 <= name.len()).map(|(_, name)| name)
}

/// `stores.*.url` with the names that `key` has in these places.
fn with_names_of(key: &str, path: &str) -> String {
    let mut given = key.split('.');
    path.split('.')
        .map(|part| {
            let given = given.next();
            match part {
                "*" => given.unwrap_or("NAME"),
                part => given.filter(|given| given.split('[').next() == part.split('[').next()).unwrap_or(part),
            }
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Letters to insert, remove or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Parts of keys whose values no error shows.
const HIDDEN: &[&str] = &["stores", "tokens", "secret", "password", "url"];

fn is_hidden(key: &str) -> bool {
    HIDDEN.iter().any(|part| key.contains(part))
}

/// A parser's complaint with the place but without the line itself, which may hold a secret.
fn without_lines(cause: &str) -> String {
    let is_quoted =
        |line: &&str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    cause.lines().map(str::trim).filter(|line| !is_quoted(line) && !line.is_empty()).collect::<Vec<_>>().join(": ")
}

/// The `config` crate's errors in our words.
pub fn explain(error: ConfigError) -> Error {
    match error {
        ConfigError::Type { key, unexpected, expected, .. } => {
            // A secret may be what is in the wrong place.
            let found = if key.as_ref().is_none_or(|key| is_hidden(key)) {
                "another type".to_owned()
            } else {
                unexpected.to_string()
            };
            let key = key.map_or_else(String::new, |key| format!("`{key}`: "));
            Error::config(format!("{key}{found} where {expected} is expected"))
                .hint("config/whimbrel.toml and config/jobs/every-key.yaml show every key with its type")
        }
        ConfigError::FileParse { cause, .. } => {
            Error::config(format!("cannot be understood: {}", without_lines(&cause.to_string())))
                .hint("mend the line it names")
        }
        ConfigError::At { error, key: Some(key), .. } => {
            let inner = explain(*error);
            let hint = inner.hint_text().unwrap_or_default().to_owned();
            // Serde's words: invalid type: string "…", expected a map.
            let text = inner.to_string();
            let text = match (text.split_once(": "), text.rsplit_once(", expected ")) {
                (Some((wrong, _)), Some((_, expected))) if wrong.starts_with("invalid ") && is_hidden(&key) => {
                    format!("{wrong}, expected {expected}")
                }
                _ => text,
            };
            Error::config(format!("`{}`: {text}", dotted(&key))).hint(hint)
        }
        ConfigError::NotFound(key) => Error::config(format!("`{}` is missing", dotted(&key)))
            .hint("add that key; every one is explained in config/"),
        ConfigError::Message(text) if words(&text).is_some() => {
            let (given, words) = words(&text).expect("just looked");
            Error::config(format!("there is no `{given}`")).hint(format!("one of: {}", words.join(", ")))
        }
        error => Error::config(error.to_string()).hint("mend that key; every one is explained in config/"),
    }
}

/// The crate writes no dot behind an index.
fn dotted(key: &str) -> String {
    let mut dotted = String::new();
    for part in key.split_inclusive(']') {
        let joins = dotted.ends_with(']') && !part.starts_with(['.', '[']);
        dotted.push_str(if joins { "." } else { "" });
        dotted.push_str(part);
    }
    dotted
}

/// What was given for one of several words, and which there are.
fn words(text: &str) -> Option<(&str, &'static [&'static str])> {
    let (name, given) = text.strip_prefix("enum ")?.split_once(" does not have variant constructor ")?;
    let (_, words) = WORDS.iter().find(|(known, _)| *known == name)?;
    Some((given, words))
}

const WORDS: &[(&str, &[&str])] = &[
    ("Existing", &["refuse", "merge", "replace"]),
    ("Keyless", &["refuse", "exact", "append"]),
    ("LogFormat", &["pretty", "json"]),
    ("Role", &["read", "operate", "admin"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_others_are_not_guessed() {
        let paths = ["listen", "state.dir", "stores.*.url"].map(String::from);
        assert_eq!(nearest("litsen", &paths).as_deref(), Some("listen"));
        assert_eq!(nearest("dir", &paths).as_deref(), Some("state.dir"));
        assert_eq!(nearest("stores.prod.urk", &paths).as_deref(), Some("stores.prod.url"));
        assert_eq!(nearest("colour", &paths), None);
    }
}
