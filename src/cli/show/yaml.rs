//! Plain data as YAML in blocks, fields in their order. Text is quoted wherever any YAML could take it for something else.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// # Panics
/// For data whose keys are no text.
pub fn to_yaml(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).expect("plain data with text keys");
    let node: Node = serde_json::from_str(&json).expect("just written");
    let mut text = String::new();
    match &node {
        Node::Scalar(scalar) => text = format!("{scalar}\n"),
        Node::List(_) | Node::Map(_) if node.is_empty() => text = format!("{}\n", node.empty()),
        Node::List(_) | Node::Map(_) => block(&node, 0, &mut text),
    }
    text
}

/// JSON with its order of keys; scalars as YAML spells them.
enum Node {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn is_empty(&self) -> bool {
        match self {
            Node::Scalar(_) => false,
            Node::List(items) => items.is_empty(),
            Node::Map(fields) => fields.is_empty(),
        }
    }

    fn empty(&self) -> &'static str {
        if matches!(self, Node::List(_)) { "[]" } else { "{}" }
    }
}

fn block(node: &Node, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match node {
        Node::Scalar(scalar) => *text += &format!("{indent}{scalar}\n"),
        Node::Map(fields) => {
            for (key, value) in fields {
                *text += &format!("{indent}{}:", scalar(key));
                match value {
                    Node::Scalar(scalar) => *text += &format!(" {scalar}\n"),
                    empty if empty.is_empty() => *text += &format!(" {}\n", empty.empty()),
                    value => {
                        text.push('\n');
                        block(value, depth + 1, text);
                    }
                }
            }
        }
        Node::List(items) => {
            for item in items {
                let mut inner = String::new();
                match item {
                    empty if empty.is_empty() => inner = format!("{}\n", empty.empty()),
                    item => block(item, depth + 1, &mut inner),
                }
                *text += &format!("{indent}- {}", inner.trim_start());
            }
        }
    }
}

/// Plain only where no YAML, 1.1 or 1.2, sees anything but text; quoted as JSON otherwise, which is YAML.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    let quoted = serde_json::to_string(text).expect("text");
    // Line breaks and the like to some, and invisible to all.
    let is_hidden = |c: &char| matches!(*c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    let escaped = |c: char| if is_hidden(&c) { format!("\\u{:04x}", c as u32) } else { c.to_string() };
    quoted.chars().map(escaped).collect()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar("null".into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(serde_json::Number::from_f64(value).map_or("null".into(), |number| number.to_string())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(scalar(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::job_from_text, model::JobSpec};
    use config::FileFormat;
    use proptest::prelude::*;

    #[test]
    fn a_job_is_written_as_people_write_it() {
        let mut spec = JobSpec::new("orders", "shop", &["copy"]);
        spec.source.tables = vec!["main.*".into()];
        let text = to_yaml(&spec);
        let start = "name: orders\nsource:\n  store: shop\n  tables:\n    - \"main.*\"\n  keyless: refuse\ntargets:\n  \
                     - store: copy\n    existing: refuse\n";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn empty_and_nested_lists_are_yaml() {
        let data = serde_json::json!({"a": [], "b": {}, "c": [[1, 2], [], {"d": null}], "e": "no", "f": "2024-01-01"});
        let text = "a: []\nb: {}\nc:\n  - - 1\n    - 2\n  - []\n  - d: null\ne: \"no\"\nf: \"2024-01-01\"\n";
        assert_eq!(to_yaml(&data), text);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in ".{0,20}", key in "[a-z~*&.: -]{1,9}", value in ".{0,20}", rows: u32) {
            let mut spec = JobSpec::new("x", &name, &["true", "1e3", "-", "0x1f"]);
            spec.labels.insert(key.to_lowercase(), value);
            spec.copy.limits.rows_per_s = rows.into();
            let text = to_yaml(&spec);
            prop_assert_eq!(job_from_text(&text, FileFormat::Yaml).expect(&text), spec);
        }
    }
}
