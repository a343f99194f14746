//! What a statement of the log does to which tables. Pure.
//!
//! Only statements that change tables matter, and of those that change rows none may be there (row format). What is
//! neither of the two nor known by its first word stops the feed: it could change rows unseen.

mod clauses;
mod tokens;

use self::{
    clauses::{Clause, clauses},
    tokens::{Token, tokens},
};
use super::binlog::Query;
use crate::model::TableName;
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// Transactions begin and end.
    Begin,
    Commit,
    Rollback,
    /// Back to a savepoint: what came before in this transaction may not have happened.
    RollbackTo,
    XaStart,
    XaCommit(String),
    XaRollback(String),
    /// Tables change.
    Tables(Vec<(TableName, What)>),
    /// All tables of a database are gone.
    DropDatabase(String),
    /// Changes rows, in statement format.
    Rows,
    /// Nothing of ours.
    Other,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Created { if_absent: bool },
    Altered(OldRows),
    Truncated,
    Gone,
}

/// What an `ALTER` does to the rows that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OldRows {
    /// These columns come, empty, and nothing else changes.
    Grow(Vec<String>),
    /// Columns come, empty, or go.
    Keep,
    /// As `Keep`, and what parents' rows do to them is another thing from now on.
    Bind,
    /// They get other values, for all we know.
    Change,
}

/// Statements that change no table's rows, by their first word.
const HARMLESS: &[&str] = &[
    "GRANT",
    "REVOKE",
    "SET",
    "FLUSH",
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "SAVEPOINT",
    "RELEASE",
    "INSTALL",
    "UNINSTALL",
    "USE",
    "RESET",
    "PURGE",
    "CHANGE",
    "START",
    "STOP",
    "KILL",
    "HELP",
    "COMMENT",
    "DO",
    "BACKUP",
];

/// What `CREATE`, `ALTER`, `DROP` and `RENAME` may be about besides tables.
const OBJECTS: &[&str] = &[
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "USER",
    "ROLE",
    "SERVER",
    "SEQUENCE",
    "PACKAGE",
    "TABLESPACE",
    "LOGFILE",
    "UNDO",
    "RESOURCE",
    "SPATIAL_REFERENCE",
    "INSTANCE",
    "LIBRARY",
];

pub(super) fn read(query: &Query<'_>) -> Statement {
    if query.is_load {
        return Statement::Rows;
    }
    let text = text_of(query);
    let tokens = tokens(&text, query.sql_mode);
    let mut words = Words { tokens: &tokens, schema: &query.schema };
    words.statement().unwrap_or(Statement::Unknown)
}

/// Statements come in the client's character set. Names that are not UTF-8 are read as the most common other one.
fn text_of<'q>(query: &'q Query<'_>) -> Cow<'q, str> {
    match std::str::from_utf8(&query.text) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(&query.text).0,
    }
}

struct Words<'t> {
    tokens: &'t [Token],
    schema: &'t str,
}

impl<'t> Words<'t> {
    fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Steps over these words, if they all come next.
    fn skip(&mut self, words: &[&str]) -> bool {
        let come = words.len() <= self.tokens.len() && self.tokens.iter().zip(words).all(|(own, word)| own.is(word));
        if come {
            self.tokens = &self.tokens[words.len()..];
        }
        come
    }

    fn skip_sign(&mut self, sign: char) -> bool {
        let comes = self.tokens.first() == Some(&Token::Sign(sign));
        if comes {
            self.tokens = &self.tokens[1..];
        }
        comes
    }

    fn name(&mut self) -> Option<String> {
        match self.next()? {
            Token::Word(name) | Token::Name(name) => Some(name.clone()),
            Token::Text(_) | Token::Sign(_) => None,
        }
    }

    /// How long a lock is waited for.
    fn skip_wait(&mut self) -> Option<()> {
        if self.skip(&["WAIT"]) {
            self.next()?;
        }
        self.skip(&["NOWAIT"]);
        Some(())
    }

    /// `name` or `schema.name`.
    fn table(&mut self) -> Option<TableName> {
        let first = self.name()?;
        match self.skip_sign('.') {
            true => Some(TableName::new(first, self.name()?)),
            false => Some(TableName::new(self.schema, first)),
        }
    }

    fn statement(&mut self) -> Option<Statement> {
        let Some(first) = self.next() else { return Some(Statement::Other) };
        let Token::Word(first) = first else { return None };
        let first = first.to_ascii_uppercase();
        Some(match first.as_str() {
            "BEGIN" => Statement::Begin,
            "COMMIT" => Statement::Commit,
            "ROLLBACK" if self.tokens.is_empty() || self.skip(&["WORK"]) => Statement::Rollback,
            "ROLLBACK" => Statement::RollbackTo,
            "XA" => self.xa()?,
            "CREATE" => self.create()?,
            "ALTER" => self.alter()?,
            "DROP" => self.drop()?,
            "RENAME" => self.rename()?,
            "TRUNCATE" => {
                self.skip(&["TABLE"]);
                Statement::Tables(vec![(self.table()?, What::Truncated)])
            }
            "INSERT" | "UPDATE" | "DELETE" | "REPLACE" if self.is_of_server(&first) => Statement::Other,
            "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "CALL" | "WITH" | "SELECT" | "EXECUTE" => {
                Statement::Rows
            }
            // The statement itself stays as it was typed.
            "SET" if self.skip(&["STATEMENT"]) => {
                let mut depth = 0_i32;
                let is_for = |token: &Token| {
                    match token {
                        Token::Sign('(') => depth += 1,
                        Token::Sign(')') => depth -= 1,
                        token => return depth == 0 && token.is("FOR"),
                    }
                    false
                };
                let at = self.tokens.iter().position(is_for)?;
                self.tokens = &self.tokens[at + 1..];
                self.statement()?
            }
            "START" if self.skip(&["TRANSACTION"]) => Statement::Begin,
            word if HARMLESS.contains(&word) => Statement::Other,
            _ => return None,
        })
    }

    /// Whether rows of one of the server's own tables change: those of hosted servers are kept by statements.
    fn is_of_server(&self, verb: &str) -> bool {
        let mut rest = Words { tokens: self.tokens, schema: self.schema };
        for word in ["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE"] {
            rest.skip(&[word]);
        }
        let names_one = match verb {
            "DELETE" => rest.skip(&["FROM"]),
            _ => rest.skip(&["INTO"]) || verb != "INSERT" && verb != "DELETE",
        };
        let is_own = rest.table().is_some_and(|table| table.schema.eq_ignore_ascii_case("mysql"));
        // Not one of several.
        let ends = match verb {
            "UPDATE" => rest.skip(&["SET"]),
            "DELETE" => rest.tokens.is_empty() || rest.skip(&["WHERE"]) || rest.skip(&["LIMIT"]),
            _ => true,
        };
        names_one && is_own && ends
    }

    fn xa(&mut self) -> Option<Statement> {
        let Token::Word(verb) = self.next()? else { return None };
        let verb = verb.to_ascii_uppercase();
        Some(match verb.as_str() {
            "START" | "BEGIN" | "END" | "PREPARE" => Statement::XaStart,
            "COMMIT" => Statement::XaCommit(self.xid()?),
            "ROLLBACK" => Statement::XaRollback(self.xid()?),
            _ => return None,
        })
    }

    /// As `binlog::xa_name` writes it. The server logs names as `X'61',X'',1`; by hand they may be plain texts.
    fn xid(&mut self) -> Option<String> {
        let mut part = || {
            let is_hex = self.skip(&["X"]);
            match self.next()? {
                Token::Text(text) if is_hex => Some(text.to_ascii_lowercase()),
                Token::Text(text) => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
                _ => None,
            }
        };
        let gtrid = part()?;
        let mut bqual = String::new();
        let mut format = "1".to_owned();
        if self.skip_sign(',') {
            let is_hex = self.skip(&["X"]);
            bqual = match self.next()? {
                Token::Text(text) if is_hex => text.to_ascii_lowercase(),
                Token::Text(text) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
                _ => return None,
            };
            if self.skip_sign(',') {
                let Token::Word(number) = self.next()? else { return None };
                format.clone_from(number);
            }
        }
        Some(format!("X'{gtrid}',X'{bqual}',{format}"))
    }

    fn create(&mut self) -> Option<Statement> {
        let replaces = self.skip(&["OR", "REPLACE"]);
        if replaces && (self.skip(&["DATABASE"]) || self.skip(&["SCHEMA"])) {
            return Some(Statement::DropDatabase(self.name()?));
        }
        if self.skip(&["TEMPORARY"]) {
            return Some(Statement::Other);
        }
        if self.skip(&["TABLE"]) {
            let if_absent = self.skip(&["IF", "NOT", "EXISTS"]);
            return Some(Statement::Tables(vec![(self.table()?, What::Created { if_absent })]));
        }
        let mut rest = Words { tokens: self.tokens, schema: self.schema };
        for word in ["UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE"] {
            rest.skip(&[word]);
        }
        if rest.skip(&["INDEX"]) {
            return rest.index();
        }
        self.object()
    }

    /// `… name ON table`, of an index that comes or goes.
    fn index(&mut self) -> Option<Statement> {
        let on = self.tokens.iter().position(|token| token.is("ON"))?;
        self.tokens = &self.tokens[on + 1..];
        Some(Statement::Tables(vec![(self.table()?, What::Altered(OldRows::Grow(Vec::new())))]))
    }

    /// About something that is no table: it is named before anything that could be a name of it.
    fn object(&mut self) -> Option<Statement> {
        if self.skip(&["DATABASE"]) || self.skip(&["SCHEMA"]) {
            return Some(Statement::Other);
        }
        // `DEFINER = user@host`, `ALGORITHM = …`, `SQL SECURITY …` come first.
        let about = self.tokens.iter().find(|token| OBJECTS.iter().chain(&["TABLE"]).any(|word| token.is(word)))?;
        (!about.is("TABLE")).then_some(Statement::Other)
    }

    fn alter(&mut self) -> Option<Statement> {
        self.skip(&["ONLINE"]);
        // Rows that a new unique index has no place for go without a word.
        let drops_rows = self.skip(&["IGNORE"]);
        if !self.skip(&["TABLE"]) {
            return self.object();
        }
        self.skip(&["IF", "EXISTS"]);
        let table = self.table()?;
        self.skip_wait()?;
        let (mut renamed, mut others) = (None, Vec::new());
        let (mut keeps, mut binds, mut come, mut gone) = (!drops_rows, false, Vec::new(), Vec::new());
        let mut knows_all = true;
        for clause in clauses(self.tokens) {
            let mut words = Words { tokens: clause, schema: self.schema };
            match words.clause()? {
                Clause::Keeps => {}
                Clause::Binds => binds = true,
                Clause::Changes => keeps = false,
                Clause::Comes(name) => come.push(name),
                Clause::MayCome(name) => {
                    knows_all = false;
                    come.push(name);
                }
                Clause::Goes(name) => gone.push(name),
                Clause::Renamed(to) => renamed = Some(to),
                Clause::Moves(other, what) => {
                    keeps = false;
                    others.push((other, what));
                }
            }
        }
        let rows = match (keeps && !come.iter().any(|name| gone.contains(name)), gone.is_empty() && knows_all) {
            (false, _) => OldRows::Change,
            (true, _) if binds => OldRows::Bind,
            (true, true) => OldRows::Grow(come),
            (true, false) => OldRows::Keep,
        };
        let mut changes = match renamed {
            Some(to) => vec![(table, What::Gone), (to, What::Created { if_absent: false })],
            None => vec![(table, What::Altered(rows))],
        };
        changes.extend(others);
        Some(Statement::Tables(changes))
    }

    fn drop(&mut self) -> Option<Statement> {
        if self.skip(&["TEMPORARY"]) {
            return Some(Statement::Other);
        }
        if self.skip(&["DATABASE"]) || self.skip(&["SCHEMA"]) {
            self.skip(&["IF", "EXISTS"]);
            return Some(Statement::DropDatabase(self.name()?));
        }
        if self.skip(&["TABLE"]) || self.skip(&["TABLES"]) {
            self.skip(&["IF", "EXISTS"]);
            let mut gone = vec![(self.table()?, What::Gone)];
            while self.skip_sign(',') {
                gone.push((self.table()?, What::Gone));
            }
            return Some(Statement::Tables(gone));
        }
        self.skip(&["ONLINE"]);
        if self.skip(&["INDEX"]) {
            return self.index();
        }
        self.object()
    }

    fn rename(&mut self) -> Option<Statement> {
        if !self.skip(&["TABLE"]) && !self.skip(&["TABLES"]) {
            return self.object();
        }
        self.skip(&["IF", "EXISTS"]);
        let mut changes = Vec::new();
        loop {
            let from = self.table()?;
            self.skip_wait()?;
            if !self.skip(&["TO"]) {
                return None;
            }
            changes.push((from, What::Gone));
            changes.push((self.table()?, What::Created { if_absent: false }));
            if !self.skip_sign(',') {
                return Some(Statement::Tables(changes));
            }
        }
    }
}

#[cfg(test)]
mod tests;
