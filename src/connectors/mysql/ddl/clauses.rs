//! The clauses of `ALTER TABLE`: which of them leave the rows that are there as they are.

use super::{OldRows, What, Words, tokens::Token};
use crate::model::TableName;

pub(super) enum Clause {
    Keeps,
    /// A foreign key comes or goes.
    Binds,
    Changes,
    Comes(String),
    /// If it is not there yet.
    MayCome(String),
    Goes(String),
    Renamed(TableName),
    /// Rows go to another table, or come from it.
    Moves(TableName, What),
}

/// The parts between commas that are in no brackets.
pub(super) fn clauses(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_i32;
    let is_comma = |token: &Token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            Token::Sign(',') => return depth == 0,
            _ => {}
        }
        false
    };
    tokens.split(is_comma).collect()
}

impl Words<'_> {
    /// One clause of `ALTER TABLE`. What is not known here changes values, for all we know.
    pub(super) fn clause(&mut self) -> Option<Clause> {
        let index = |words: &mut Words<'_>| {
            ["INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "CHECK"].iter().any(|word| words.skip(&[word]))
        };
        // A constraint that is dropped by its name may be a foreign key.
        let binds =
            |words: &Words<'_>| words.tokens.first().is_some_and(|token| token.is("FOREIGN") || token.is("CONSTRAINT"));
        if self.skip(&["ADD"]) {
            if binds(self) {
                return Some(Clause::Binds);
            }
            if index(self) {
                return Some(Clause::Keeps);
            }
            if self
                .tokens
                .first()
                .is_some_and(|token| token.is("PRIMARY") || token.is("PARTITION") || token.is("SYSTEM"))
            {
                return Some(Clause::Changes);
            }
            self.skip(&["COLUMN"]);
            let is_sure = !self.skip(&["IF", "NOT", "EXISTS"]);
            // A value for the rows that are there, or several columns at once.
            let gives = ["DEFAULT", "AS", "GENERATED", "NOT", "AUTO_INCREMENT", "SERIAL", "PRIMARY"];
            let plain = !self.tokens.iter().any(|token| gives.iter().any(|word| token.is(word)));
            let refers = self.tokens.iter().any(|token| token.is("REFERENCES"));
            return Some(match self.next()? {
                _ if plain && refers => Clause::Binds,
                Token::Word(name) | Token::Name(name) if plain && is_sure => Clause::Comes(name.to_lowercase()),
                Token::Word(name) | Token::Name(name) if plain => Clause::MayCome(name.to_lowercase()),
                _ => Clause::Changes,
            });
        }
        if self.skip(&["DROP"]) {
            if binds(self) {
                return Some(Clause::Binds);
            }
            if index(self) {
                return Some(Clause::Keeps);
            }
            if self
                .tokens
                .first()
                .is_some_and(|token| token.is("PRIMARY") || token.is("PARTITION") || token.is("SYSTEM"))
            {
                return Some(Clause::Changes);
            }
            self.skip(&["COLUMN"]);
            self.skip(&["IF", "EXISTS"]);
            return Some(match self.next()? {
                Token::Word(name) | Token::Name(name) => Clause::Goes(name.to_lowercase()),
                _ => Clause::Changes,
            });
        }
        if self.skip(&["RENAME"]) {
            if self.skip(&["INDEX"]) || self.skip(&["KEY"]) {
                return Some(Clause::Keeps);
            }
            if self.skip(&["COLUMN"]) {
                return Some(Clause::Changes);
            }
            if !self.skip(&["TO"]) && !self.skip(&["AS"]) {
                self.skip_sign('=');
            }
            return Some(Clause::Renamed(self.table()?));
        }
        if self.skip(&["EXCHANGE", "PARTITION"]) {
            return self.other("WITH", What::Altered(OldRows::Change));
        }
        if self.skip(&["CONVERT", "PARTITION"]) {
            return self.other("TO", What::Created { if_absent: false });
        }
        if self.skip(&["CONVERT", "TABLE"]) {
            return Some(Clause::Moves(self.table()?, What::Gone));
        }
        if self.skip(&["ALTER"]) {
            let is_default =
                self.tokens.iter().any(|token| token.is("DEFAULT") || token.is("INDEX") || token.is("CHECK"));
            return Some(if is_default { Clause::Keeps } else { Clause::Changes });
        }
        const KEEPS: &[&str] = &[
            "ALGORITHM",
            "LOCK",
            "COMMENT",
            "ENGINE",
            "ROW_FORMAT",
            "AUTO_INCREMENT",
            "ENABLE",
            "DISABLE",
            "FORCE",
            "STATS_PERSISTENT",
            "STATS_AUTO_RECALC",
            "STATS_SAMPLE_PAGES",
            "KEY_BLOCK_SIZE",
            "PAGE_COMPRESSED",
            "AVG_ROW_LENGTH",
            "MAX_ROWS",
            "MIN_ROWS",
            "CHECKSUM",
            "DELAY_KEY_WRITE",
            "ENCRYPTED",
            "ENCRYPTION",
        ];
        let keeps = self.tokens.is_empty() || KEEPS.iter().any(|word| self.skip(&[word]));
        Some(if keeps { Clause::Keeps } else { Clause::Changes })
    }

    /// Behind a partition's name, `word TABLE name`.
    fn other(&mut self, word: &str, what: What) -> Option<Clause> {
        self.next()?;
        self.skip(&[word, "TABLE"]).then(|| self.table()).flatten().map(|table| Clause::Moves(table, what))
    }
}
