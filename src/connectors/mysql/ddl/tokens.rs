//! The words of a statement, without its comments.

use crate::connectors::mysql::binlog::Query;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word.
    Word(String),
    /// A name in quotes.
    Name(String),
    Text(String),
    Sign(char),
}

impl Token {
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }
}

pub(super) fn tokens(text: &str, sql_mode: u64) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if first.is_whitespace() {
            rest = after;
        } else if first == '#' || rest.starts_with("-- ") || rest.starts_with("--\t") || rest.starts_with("--\n") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(inside) = rest.strip_prefix("/*") {
            let (comment, behind) = inside.split_once("*/").unwrap_or((inside, ""));
            // What is in `/*! … */` and `/*M! … */` is run.
            let run = comment.strip_prefix('!').or_else(|| comment.strip_prefix("M!"));
            if let Some(run) = run {
                let run = run.trim_start_matches(|c: char| c.is_ascii_digit());
                tokens.extend(self::tokens(run, sql_mode));
            }
            rest = behind;
        } else if matches!(first, '`' | '\'' | '"') {
            let escapes = first != '`' && sql_mode & Query::NO_BACKSLASH_ESCAPES == 0;
            let (inside, behind) = quoted(after, first, escapes);
            let is_name = first == '`' || first == '"' && sql_mode & Query::ANSI_QUOTES != 0;
            tokens.push(if is_name { Token::Name(inside) } else { Token::Text(inside) });
            rest = behind;
        } else if first.is_alphanumeric() || matches!(first, '_' | '$' | '@') || !first.is_ascii() {
            let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@') || !c.is_ascii();
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            tokens.push(Token::Sign(first));
            rest = after;
        }
    }
    tokens
}

/// Up to the closing quote; a doubled one stands for itself.
fn quoted(text: &str, quote: char, escapes: bool) -> (String, &str) {
    let mut inside = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            inside.extend(chars.next().map(|(_, c)| c));
        } else if c == quote {
            let rest = &text[at + 1..];
            if !rest.starts_with(quote) {
                return (inside, rest);
            }
            inside.push(quote);
            chars.next();
        } else {
            inside.push(c);
        }
    }
    (inside, "")
}
