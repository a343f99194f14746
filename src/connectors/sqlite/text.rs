//! SQL text as SQLite splits it: names, strings, comments, brackets. Pure.

/// A name, quoted so that any name is one.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in quotes, by commas.
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a bare name.
    Word,
    /// `"name"`, `[name]` or `` `name` ``.
    Quoted,
    /// `'text'` and numbers.
    Literal,
    /// One character of punctuation.
    Mark(u8),
}

/// One token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub kind: Kind,
    pub text: &'t str,
    pub start: usize,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub fn is_mark(&self, mark: u8) -> bool {
        self.kind == Kind::Mark(mark)
    }

    /// The name it stands for, without its quotes. SQLite takes a string for a name where a name must stand.
    pub fn name(&self) -> String {
        let inner = || &self.text[1..self.text.len() - 1];
        match self.text.as_bytes()[0] {
            b'"' => inner().replace("\"\"", "\""),
            b'`' => inner().replace("``", "`"),
            b'\'' => inner().replace("''", "'"),
            b'[' => inner().to_owned(),
            _ => self.text.to_owned(),
        }
    }
}

/// All tokens; white space and comments are left out.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let bytes = sql.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let rest = &bytes[at..];
        let find =
            |what: &str, from: usize| sql[start + from..].find(what).map(|found| start + from + found + what.len());
        let kind = match bytes[at] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if rest.starts_with(b"--") => {
                at = find("\n", 2).unwrap_or(bytes.len());
                continue;
            }
            b'/' if rest.starts_with(b"/*") => {
                at = find("*/", 2).unwrap_or(bytes.len());
                continue;
            }
            quote @ (b'"' | b'`' | b'\'') => {
                at = closing(bytes, start, quote);
                if quote == b'\'' { Kind::Literal } else { Kind::Quoted }
            }
            b'[' => {
                at = find("]", 1).unwrap_or(bytes.len());
                Kind::Quoted
            }
            b if is_word(b) => {
                at += rest.iter().take_while(|b| is_word(**b)).count();
                if b.is_ascii_digit() { Kind::Literal } else { Kind::Word }
            }
            mark => {
                at += 1;
                Kind::Mark(mark)
            }
        };
        tokens.push(Token { kind, text: &sql[start..at], start });
    }
    tokens
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// The end of a quoted token; a doubled quote stands for one.
fn closing(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match (bytes[at] == quote, bytes.get(at + 1) == Some(&quote)) {
            (true, true) => at += 2,
            (true, false) => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the bracket that opens at `tokens[open]` closes.
pub(super) fn matching(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark(b'(') => depth += 1,
            Kind::Mark(b')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// Index ranges of the tokens between commas outside of brackets.
pub(super) fn by_comma(tokens: &[Token<'_>], from: usize, upto: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (from, 0_usize);
    for (index, token) in tokens.iter().enumerate().take(upto).skip(from) {
        match token.kind {
            Kind::Mark(b'(') => depth += 1,
            Kind::Mark(b')') => depth = depth.saturating_sub(1),
            Kind::Mark(b',') if depth == 0 => {
                parts.push((start, index));
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push((start, upto));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_sqlite_does() {
        let sql = "CREATE -- no\n TABLE \"a\"\"b\" (x /* , */ DEFAULT 'it''s, )', [y z] INT)";
        let texts: Vec<&str> = tokens(sql).iter().map(|token| token.text).collect();
        assert_eq!(
            texts,
            ["CREATE", "TABLE", "\"a\"\"b\"", "(", "x", "DEFAULT", "'it''s, )'", ",", "[y z]", "INT", ")"]
        );
        let tokens = tokens(sql);
        assert_eq!(tokens[2].name(), "a\"b");
        assert_eq!(matching(&tokens, 3), Some(10));
        assert_eq!(by_comma(&tokens, 4, 10), [(4, 7), (8, 10)]);
    }
}
