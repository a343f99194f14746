//! The numbers in the API never change: a client of last year must be understood.

use std::{collections::BTreeSet, fs};

const NUMBERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/api-v1.numbers");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/whimbrel/v1");

/// One line for each field, enum value and call: `message.field: type = number`.
fn numbers() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in fs::read_dir(FOLDER).expect("there") {
        let text = fs::read_to_string(file.expect("there").path()).expect("text");
        let mut place = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let words: Vec<&str> = line.trim_end_matches([';', '{', '}', ' ']).split_whitespace().collect();
            match words.as_slice() {
                ["message" | "enum" | "service", name] => place = (*name).to_owned(),
                ["rpc", call @ ..] => drop(lines.insert(format!("{place}.{}", call.join(" ")))),
                [kind @ .., name, "=", number] if !place.is_empty() => {
                    lines.insert(format!("{place}.{name}: {} = {number}", kind.join(" ")));
                }
                _ => {}
            }
        }
    }
    lines
}

#[test]
fn numbers_and_calls_stay_what_they_were() {
    let now = numbers();
    if std::env::var("WHIMBREL_TEST_GOLDEN").is_ok_and(|what| what == "write") {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(NUMBERS, text).expect("ours");
    }
    let then: BTreeSet<String> = fs::read_to_string(NUMBERS).expect("there").lines().map(str::to_owned).collect();
    let gone: Vec<_> = then.difference(&now).collect();
    assert!(gone.is_empty(), "old clients rely on: {gone:#?}");
    let new: Vec<_> = now.difference(&then).collect();
    assert!(new.is_empty(), "add them with WHIMBREL_TEST_GOLDEN=write: {new:#?}");
}

#[test]
fn every_field_and_call_is_explained() {
    for file in fs::read_dir(FOLDER).expect("there") {
        let path = file.expect("there").path();
        let text = fs::read_to_string(&path).expect("text");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let is_named = pair[1].starts_with("rpc ")
                || ["message ", "enum ", "service "].iter().any(|word| pair[1].starts_with(word))
                || pair[1].contains(" = ") && pair[1].ends_with(';') && !pair[1].starts_with("syntax");
            assert!(!is_named || pair[0].starts_with("//"), "{}: `{}` is not explained", path.display(), pair[1]);
        }
    }
}

#[test]
fn enums_begin_with_unspecified() {
    for line in numbers().iter().filter(|line| line.ends_with("= 0")) {
        assert!(line.contains("_UNSPECIFIED:"), "{line}");
    }
}
