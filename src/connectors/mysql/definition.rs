//! Reads and edits the text of `SHOW CREATE TABLE`: one column, key or constraint a line. Pure.

use super::text::{self, quote};
use crate::model::TableName;

/// A table's statement, cut into its lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Definition<'s> {
    /// Of columns, keys, constraints, in order; without the commas between them.
    pub lines: Vec<&'s str>,
    /// Engine, character set, partitions.
    pub options: &'s str,
}

/// What a line declares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Line<'s> {
    /// By its name, quoted.
    Column(&'s str),
    Primary,
    Unique(&'s str),
    /// A plain, full-text or spatial index.
    Index(&'s str),
    ForeignKey,
    Check,
}

impl<'s> Definition<'s> {
    pub fn read(statement: &'s str) -> Option<Definition<'s>> {
        let (_, inside) = statement.split_once("(\n")?;
        let end = inside.find("\n)")?;
        let lines = inside[..end].split(",\n").map(|line| line.trim_start_matches([' ', '\n'])).collect();
        Some(Definition { lines, options: inside[end + 2..].trim_start() })
    }

    /// The line that declares a column.
    pub fn column(&self, name: &str) -> Option<&'s str> {
        let start = format!("{} ", quote(name));
        self.lines.iter().copied().find(|line| {
            line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(&start)) && line.starts_with('`')
        })
    }

    /// The statement that makes a table of this name with these of the lines.
    pub fn create(&self, name: &TableName, keep: impl Fn(&Line<'_>) -> bool) -> String {
        let lines: Vec<&str> = self.lines.iter().copied().filter(|line| keep(&kind(line))).collect();
        format!("CREATE TABLE {} (\n  {}\n) {}", text::table(name), lines.join(",\n  "), self.options)
    }
}

/// What a line of a definition declares.
pub(super) fn kind(line: &str) -> Line<'_> {
    let named = |rest: &'static str| line.strip_prefix(rest).and_then(first_name);
    if let Some(name) = first_name(line) {
        return Line::Column(name);
    }
    if line.starts_with("PRIMARY KEY") {
        return Line::Primary;
    }
    if let Some(name) = named("UNIQUE KEY ") {
        return Line::Unique(name);
    }
    for start in ["KEY ", "FULLTEXT KEY ", "SPATIAL KEY ", "VECTOR KEY "] {
        if let Some(name) = line.strip_prefix(start).and_then(first_name) {
            return Line::Index(name);
        }
    }
    let constraint = named("CONSTRAINT ").map_or(line, |name| line["CONSTRAINT ".len() + name.len()..].trim_start());
    match constraint.starts_with("FOREIGN KEY") {
        true => Line::ForeignKey,
        false => Line::Check,
    }
}

/// The quoted name at the start of a text.
fn first_name(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('`')?;
    let mut at = 0;
    loop {
        at += inside[at..].find('`')?;
        match inside[at + 1..].starts_with('`') {
            true => at += 2,
            false => return Some(&text[..at + 2]),
        }
    }
}

/// What stands between spaces, where brackets, quotes and comments keep together what is in them.
pub(super) fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start, mut depth) = (Vec::new(), None, 0_usize);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() && depth == 0 {
            words.extend(start.take().map(|start| &text[start..at]));
            continue;
        }
        start.get_or_insert(at);
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '\'' | '"' | '`' => {
                while let Some((_, inside)) = chars.next() {
                    match inside {
                        '\\' if c != '`' => drop(chars.next()),
                        end if end == c => break,
                        _ => {}
                    }
                }
            }
            '/' if text[at..].starts_with("/*") => {
                let end = text[at..].find("*/").map_or(text.len(), |end| at + end + 2);
                while chars.next_if(|(at, _)| *at < end).is_some() {}
            }
            _ => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

/// What stands outside of quotes: a default or a comment that looks like SQL is none.
pub(super) fn bare(line: &str) -> String {
    let mut bare = String::new();
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            None => bare.push(c),
            Some(_) if c == '\\' => drop(chars.next()),
            Some(end) if c == end => quote = None,
            Some(_) => {}
        }
    }
    bare.to_ascii_uppercase()
}

/// Whether the server itself writes the column when others of its row change.
pub(super) fn is_touched_by_itself(line: &str) -> bool {
    bare(line).contains(" ON UPDATE ")
}

/// Whether rows need no value for it.
pub(super) fn has_default(line: &str) -> bool {
    let bare = bare(line);
    let nullable = !bare.contains(" NOT NULL");
    nullable || bare.contains(" DEFAULT") || bare.contains(" AUTO_INCREMENT") || bare.contains(" AS (")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "CREATE TABLE `t` (\n  `a``b` int(11) NOT NULL AUTO_INCREMENT,\n  \
                         `c` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),\n  \
                         `d` varchar(9) DEFAULT ' ON UPDATE ' COMMENT 'it''s, ok',\n  PRIMARY KEY (`a``b`),\n  \
                         UNIQUE KEY `u` (`d`),\n  KEY `k` (`c`),\n  CONSTRAINT `f` FOREIGN KEY (`d`) REFERENCES `p` \
                         (`x`),\n  CONSTRAINT `x` CHECK (`c` > 0)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

    #[test]
    fn words_keep_together_what_belongs_together() {
        let line = "varchar(9) DEFAULT 'it''s \\' a' /*!80023 INVISIBLE */ CHECK (`a b` > ')') COMMENT 'x'";
        let expected = [
            "varchar(9)",
            "DEFAULT",
            "'it''s \\' a'",
            "/*!80023 INVISIBLE */",
            "CHECK",
            "(`a b` > ')')",
            "COMMENT",
            "'x'",
        ];
        assert_eq!(words(line), expected);
    }

    #[test]
    fn lines_are_what_they_declare() {
        let read = Definition::read(SHOWN).unwrap();
        let kinds: Vec<Line<'_>> = read.lines.iter().map(|line| kind(line)).collect();
        let expected = [
            Line::Column("`a``b`"),
            Line::Column("`c`"),
            Line::Column("`d`"),
            Line::Primary,
            Line::Unique("`u`"),
            Line::Index("`k`"),
            Line::ForeignKey,
            Line::Check,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(read.options, "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4");
        assert!(is_touched_by_itself(read.column("c").unwrap()) && !is_touched_by_itself(read.column("d").unwrap()));
        assert!(has_default(read.column("a`b").unwrap()) && has_default(read.column("d").unwrap()));
        assert!(!has_default("`x` int NOT NULL"));
        let made = read.create(&TableName::new("s", "n"), |line| !matches!(line, Line::ForeignKey | Line::Unique(_)));
        assert!(made.starts_with("CREATE TABLE `s`.`n` (\n  `a``b` int(11)") && !made.contains("UNIQUE"), "{made}");
    }
}
