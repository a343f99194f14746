//! Reads and edits the text of `CREATE TABLE` and `CREATE INDEX`, as SQLite keeps it in its schema. Pure.

use super::text::{Kind, Token, by_comma, matching, quote, tokens};

/// The statement that makes a table, under another name and without its unique constraints: they become indexes once the
/// copy is done. Foreign keys point to `parents`, in the order in which they are declared.
pub(super) fn for_target(sql: &str, name: &str, parents: &[&str]) -> Option<String> {
    let tokens = tokens(sql);
    let (table, open) = head(&tokens, "TABLE")?;
    let close = matching(&tokens, open)?;
    let mut edits = vec![(tokens[table].start, tokens[table].end(), quote(name))];
    for (from, upto) in by_comma(&tokens, open + 1, close) {
        let uniques = constraints(&tokens, from, upto, "UNIQUE");
        if let [(start, end)] = uniques[..]
            && start == from
            && end == upto
        {
            // A constraint of the whole table: it goes with the comma before it.
            edits.push((tokens[from - 1].start, tokens[upto - 1].end(), String::new()));
            continue;
        }
        for (start, end) in uniques {
            edits.push((tokens[start].start, tokens[end - 1].end(), String::new()));
        }
    }
    let references = (open..close).filter(|&at| tokens[at].is("REFERENCES") && at + 1 < close);
    for (at, parent) in references.zip(parents) {
        edits.push((tokens[at + 1].start, tokens[at + 1].end(), quote(parent)));
    }
    Some(edited(sql, edits))
}

/// What `ALTER TABLE … ADD COLUMN` needs to add this column: its definition without key and unique constraint.
pub(super) fn column(sql: &str, name: &str) -> Option<String> {
    let tokens = tokens(sql);
    let (_, open) = head(&tokens, "TABLE")?;
    let close = matching(&tokens, open)?;
    let (from, upto) = by_comma(&tokens, open + 1, close)
        .into_iter()
        .find(|&(from, upto)| from < upto && tokens[from].name().eq_ignore_ascii_case(name))?;
    let start = tokens[from].start;
    let edits = constraints(&tokens, from, upto, "UNIQUE")
        .into_iter()
        .map(|(first, end)| (tokens[first].start - start, tokens[end - 1].end() - start, String::new()))
        .collect();
    Some(edited(&sql[start..tokens[upto - 1].end()], edits))
}

/// The expression of a generated column, in its brackets.
pub(super) fn computed(sql: &str, name: &str) -> Option<String> {
    let column = column(sql, name)?;
    let tokens = tokens(&column);
    let open = (1..tokens.len()).find(|&at| tokens[at].is_mark(b'(') && tokens[at - 1].is("AS"))?;
    Some(column[tokens[open].start..tokens[matching(&tokens, open)?].end()].to_owned())
}

/// `CREATE INDEX` under another name, on another table, repeatable.
pub(super) fn index(sql: &str, name: &str, table: &str) -> Option<String> {
    let tokens = tokens(sql);
    let unique = tokens.get(1)?.is("UNIQUE");
    let on = tokens.iter().position(|token| token.is("ON"))?;
    let rest = &sql[tokens.get(on + 2)?.start..];
    let unique = if unique { "UNIQUE " } else { "" };
    Some(format!("CREATE {unique}INDEX {} ON {} {rest}", quote(name), quote(table)))
}

/// What an index is over: its terms without collation and direction, and the condition of a partial one.
#[derive(Debug, PartialEq)]
pub(super) struct IndexTerms {
    pub terms: Vec<String>,
    pub condition: Option<String>,
}

pub(super) fn index_terms(sql: &str) -> Option<IndexTerms> {
    let tokens = tokens(sql);
    let on = tokens.iter().position(|token| token.is("ON"))?;
    let open = (on..tokens.len()).find(|&at| tokens[at].is_mark(b'('))?;
    let close = matching(&tokens, open)?;
    let mut terms = Vec::new();
    for (from, mut upto) in by_comma(&tokens, open + 1, close) {
        if upto > from + 1 && (tokens[upto - 1].is("ASC") || tokens[upto - 1].is("DESC")) {
            upto -= 1;
        }
        if upto > from + 2 && tokens[upto - 2].is("COLLATE") {
            upto -= 2;
        }
        terms.push(sql[tokens.get(from)?.start..tokens.get(upto.checked_sub(1)?)?.end()].to_owned());
    }
    let condition = tokens.get(close + 1).filter(|token| token.is("WHERE")).map(|token| sql[token.end()..].to_owned());
    Some(IndexTerms { terms, condition })
}

/// The collation of each term of an index, where it says one.
pub(super) fn index_collations(sql: &str) -> Option<Vec<Option<String>>> {
    let tokens = tokens(sql);
    let on = tokens.iter().position(|token| token.is("ON"))?;
    let open = (on..tokens.len()).find(|&at| tokens[at].is_mark(b'('))?;
    let close = matching(&tokens, open)?;
    let of = |(from, upto): (usize, usize)| {
        let last = if tokens[upto - 1].is("ASC") || tokens[upto - 1].is("DESC") { upto - 1 } else { upto };
        (last > from + 2 && tokens[last - 2].is("COLLATE")).then(|| tokens[last - 1].name())
    };
    Some(by_comma(&tokens, open + 1, close).into_iter().map(of).collect())
}

/// A column's default as it may stand in a trigger, where it is a constant: SQLite takes a bare or a quoted name for a
/// text here, and nowhere else.
pub(super) fn constant(default: &str) -> Option<String> {
    let tokens = tokens(default);
    let as_text = |name: &str| format!("'{}'", name.replace('\'', "''"));
    match &tokens[..] {
        [word]
            if ["TRUE", "FALSE", "NULL", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"]
                .iter()
                .any(|known| word.is(known)) =>
        {
            Some(word.text.to_owned())
        }
        [name] if matches!(name.kind, Kind::Word | Kind::Quoted) => Some(as_text(&name.name())),
        [x, bytes] if x.is("X") && bytes.kind == Kind::Literal => Some(format!("X{}", bytes.text)),
        all => {
            let is_plain = |token: &Token<'_>| match token.kind {
                Kind::Literal => true,
                Kind::Mark(mark) => b"+-.()".contains(&mark),
                _ => false,
            };
            (!all.is_empty() && all.iter().all(is_plain)).then(|| default.to_owned())
        }
    }
}

/// The name of the index that a statement makes, as it is written, if it is not quoted.
pub(super) fn index_name(sql: &str) -> Option<&str> {
    let tokens = tokens(sql);
    let on = tokens.iter().position(|token| token.is("ON"))?;
    let name = tokens.get(on.checked_sub(1)?)?;
    Some(match name.kind {
        Kind::Quoted => &sql[name.start + 1..name.end() - 1],
        _ => &sql[name.start..name.end()],
    })
}

/// The names in a piece of SQL that may be columns, in lower case.
pub(super) fn names(sql: &str) -> Vec<String> {
    let names = tokens(sql).into_iter().filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
    names.map(|token| token.name().to_lowercase()).collect()
}

/// Statements of a text that holds several.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for token in tokens(sql).iter().filter(|token| token.is_mark(b';')) {
        parts.push(sql[start..token.start].trim());
        start = token.end();
    }
    parts.push(sql[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// Where the name stands, and the bracket that opens the columns.
fn head(tokens: &[Token<'_>], what: &str) -> Option<(usize, usize)> {
    let start = tokens.iter().position(|token| token.is(what))?;
    let open = (start..tokens.len()).find(|&at| tokens[at].is_mark(b'('))?;
    Some((open.checked_sub(1)?, open))
}

/// Token ranges of the constraints of this kind in one column or table constraint, with `CONSTRAINT name` in front and the
/// conflict clause behind.
fn constraints(tokens: &[Token<'_>], from: usize, upto: usize, kind: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = from;
    while at < upto {
        if tokens[at].is_mark(b'(') {
            at = matching(tokens, at).unwrap_or(upto) + 1;
            continue;
        }
        // The first token is the column's name, unless the part is a constraint of the table.
        let is_table = |at: usize| at == from && tokens.get(at + 1).is_some_and(|next| next.is_mark(b'('));
        if tokens[at].is(kind) && (at > from || is_table(at)) {
            let named = at >= from + 2 && tokens[at - 2].is("CONSTRAINT");
            let mut end = at + 1;
            if end < upto && tokens[end].is_mark(b'(') {
                end = matching(tokens, end).unwrap_or(upto - 1) + 1;
            }
            if end + 2 < upto + 1 && tokens[end].is("ON") && tokens.get(end + 1).is_some_and(|next| next.is("CONFLICT"))
            {
                end += 3;
            }
            found.push((if named { at - 2 } else { at }, end));
            at = end;
            continue;
        }
        at += 1;
    }
    found
}

/// The text with these byte ranges replaced.
fn edited(sql: &str, mut edits: Vec<(usize, usize, String)>) -> String {
    edits.sort_by_key(|(start, ..)| *start);
    let (mut text, mut at) = (String::with_capacity(sql.len()), 0);
    for (start, end, replacement) in edits {
        text.push_str(&sql[at..start]);
        text.push_str(&replacement);
        at = end;
    }
    text.push_str(&sql[at..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_constraints_go_and_all_else_stays() {
        let cases = [
            (
                "CREATE TABLE t(id INTEGER PRIMARY KEY, e TEXT UNIQUE)",
                "CREATE TABLE \"x\"(id INTEGER PRIMARY KEY, e TEXT )",
            ),
            (
                "CREATE TABLE [t 1] (a, \"unique\" INT CONSTRAINT u UNIQUE ON CONFLICT REPLACE NOT NULL, \
                 CHECK (a <> 'UNIQUE'))",
                "CREATE TABLE \"x\" (a, \"unique\" INT  NOT NULL, CHECK (a <> 'UNIQUE'))",
            ),
            (
                "CREATE TABLE t(a, b, UNIQUE (a, b), PRIMARY KEY (a)) STRICT",
                "CREATE TABLE \"x\"(a, b, PRIMARY KEY (a)) STRICT",
            ),
            ("CREATE TABLE t(a, CONSTRAINT c UNIQUE(a) ON CONFLICT IGNORE)", "CREATE TABLE \"x\"(a)"),
            (
                "CREATE TABLE t(a REFERENCES p ON DELETE CASCADE, FOREIGN KEY(a) REFERENCES \"q\"(b))",
                "CREATE TABLE \"x\"(a REFERENCES \"p2\" ON DELETE CASCADE, FOREIGN KEY(a) REFERENCES \"q2\"(b))",
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(for_target(sql, "x", &["p2", "q2"]).as_deref(), Some(expected));
        }
    }

    #[test]
    fn finds_columns_and_terms() {
        let sql = "CREATE TABLE t(a INT, b TEXT DEFAULT (lower('X, y')) UNIQUE NOT NULL)";
        assert_eq!(column(sql, "B").as_deref(), Some("b TEXT DEFAULT (lower('X, y'))  NOT NULL"));
        assert_eq!(computed("CREATE TABLE t(a, g INT AS (a + (1)) STORED)", "g").as_deref(), Some("(a + (1))"));
        let sql = "CREATE UNIQUE INDEX i ON t(lower(a) COLLATE NOCASE DESC, \"b c\") WHERE a > 1";
        let terms = index_terms(sql).expect("an index");
        assert_eq!(terms.terms, ["lower(a)", "\"b c\""]);
        assert_eq!(terms.condition.as_deref(), Some(" a > 1"));
        assert_eq!(
            index(sql, "j", "u").as_deref(),
            Some("CREATE UNIQUE INDEX \"j\" ON \"u\" (lower(a) COLLATE NOCASE DESC, \"b c\") WHERE a > 1")
        );
        assert_eq!(statements("a ';' ; b;"), ["a ';'", "b"]);
    }

    #[test]
    fn a_default_is_a_constant_or_not() {
        for (default, expected) in [
            ("'it''s'", Some("'it''s'")),
            ("-(1.5e3)", Some("-(1.5e3)")),
            ("0x10", Some("0x10")),
            ("x'00ff'", Some("X'00ff'")),
            ("bare", Some("'bare'")),
            ("\"o'clock\"", Some("'o''clock'")),
            ("[br]", Some("'br'")),
            ("current_timestamp", Some("current_timestamp")),
            ("lower('x')", None),
            ("1 || bare", None),
            ("", None),
        ] {
            assert_eq!(constant(default).as_deref(), expected, "{default}");
        }
    }
}
