//! Statements for few round trips, and what each of them is for. Pure.

use std::sync::Arc;

/// What a statement is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// The transaction itself, the lanes, the session.
    Frame,
    /// Fails unless the watermark moved.
    Moved,
    Commit,
    /// Rows that must come to be.
    Upserts(Vec<usize>),
    /// A row that must be there.
    Patch(usize),
    /// Rows that may be there.
    Deletes(Vec<usize>),
    /// A change of a whole table.
    Whole(usize),
}

/// Statements in order, in one buffer; those with many rows may have them beside it.
#[derive(Default)]
pub(super) struct Script {
    text: Vec<u8>,
    pieces: Vec<Piece>,
}

struct Piece {
    /// Of its text.
    end: usize,
    what: What,
    /// For MariaDB's bulk protocol: the server reads it once and runs it for each of the upserts.
    bulk: Option<Arc<str>>,
}

impl Script {
    /// Where the next statement is written; `end` says what it was.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    pub fn length(&self) -> usize {
        self.text.len()
    }

    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    pub fn has_patches(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.what, What::Patch(_)))
    }

    pub fn what(&self, piece: usize) -> &What {
        &self.pieces[piece].what
    }

    /// The piece's statement, if its rows go by the bulk protocol. They are bound when it is their turn: all of a part at
    /// once would be several times its size.
    pub fn bulk(&self, piece: usize) -> Option<&Arc<str>> {
        self.pieces[piece].bulk.as_ref()
    }

    pub fn push(&mut self, statement: impl AsRef<[u8]>, what: What) {
        self.text.extend_from_slice(statement.as_ref());
        self.end(what);
    }

    /// The pieces from `first` on that fit into one text: at least one.
    pub fn piece(&self, first: usize, limit: usize) -> (&[u8], usize) {
        let start = first.checked_sub(1).map_or(0, |before| self.pieces[before].end);
        let fits = |piece: &&Piece| piece.bulk.is_none() && piece.end - start <= limit;
        let count = self.pieces[first..].iter().take_while(fits).count().max(1);
        let end = self.pieces[first + count - 1].end;
        (&self.text[start..end - 1], count)
    }

    /// The largest statement.
    pub fn largest(&self) -> Option<(usize, &What)> {
        let starts = std::iter::once(0).chain(self.pieces.iter().map(|piece| piece.end));
        let lengths = starts.zip(&self.pieces).map(|(start, piece)| (piece.end - start, &piece.what));
        lengths.max_by_key(|(length, _)| *length)
    }

    pub fn end(&mut self, what: What) {
        self.text.push(b';');
        self.pieces.push(Piece { end: self.text.len(), what, bulk: None });
    }

    pub fn push_bulk(&mut self, sql: Arc<str>, what: What) {
        self.pieces.push(Piece { end: self.text.len(), what, bulk: Some(sql) });
    }
}
