//! A prepared statement that binds and reads the model's values without copying them.
//!
//! rusqlite copies every bound text and blob once more (hazards H8), and looks up column counts per value; rows by the
//! million go through here instead. Cold statements use rusqlite itself.

use super::{
    encode,
    failure::{Answer, Failure},
};
use crate::{error::Error, model::ValueRef};
use rusqlite::{Connection, ffi};
use std::{ffi::CStr, marker::PhantomData, ops::ControlFlow, ptr, rc::Rc, slice};

/// The type of text that is not UTF-8, as `ValueRef::Native`.
pub(super) const RAW_TEXT: &str = "sqlite.text";

pub(super) struct Statement {
    raw: *mut ffi::sqlite3_stmt,
    // Keeps the connection open until the statement is finalized.
    conn: Rc<Connection>,
}

impl Statement {
    pub fn new(conn: &Rc<Connection>, sql: &str) -> Answer<Statement> {
        let mut raw = ptr::null_mut();
        // SAFETY: the handle is open as long as `conn` lives; SQL and its length describe one buffer.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                conn.handle(),
                sql.as_ptr().cast(),
                i32::try_from(sql.len()).expect("our statements are short"),
                ffi::SQLITE_PREPARE_PERSISTENT,
                &mut raw,
                ptr::null_mut(),
            )
        };
        let statement = Statement { raw, conn: Rc::clone(conn) };
        match code {
            ffi::SQLITE_OK if !raw.is_null() => Ok(statement),
            _ => Err(Failure { text: format!("{} in: {sql}", statement.failure().text), ..statement.failure() }),
        }
    }

    /// Runs a statement that returns no rows; says how many rows it changed (found, for an update).
    pub fn run<'a>(&mut self, values: impl IntoIterator<Item = ValueRef<'a>>) -> Answer<u64> {
        let done = self.bind(values).and_then(|()| self.step());
        self.reset();
        done.map(|_| {
            // SAFETY: the handle is open.
            let changes = unsafe { ffi::sqlite3_changes64(self.conn.handle()) };
            changes.unsigned_abs()
        })
    }

    /// Runs a query; `each` sees row after row until it breaks.
    pub fn query<'a>(
        &mut self,
        values: impl IntoIterator<Item = ValueRef<'a>>,
        mut each: impl FnMut(Row<'_>) -> Answer<ControlFlow<()>>,
    ) -> Answer<()> {
        let mut answer = self.bind(values);
        while answer.is_ok() {
            answer = match self.step() {
                Ok(false) => break,
                Ok(true) => match each(Row { raw: self.raw, borrowed: PhantomData }) {
                    Ok(ControlFlow::Continue(())) => continue,
                    Ok(ControlFlow::Break(())) => break,
                    Err(failure) => Err(failure),
                },
                Err(failure) => Err(failure),
            };
        }
        self.reset();
        answer
    }

    /// The first row of a query, read by `read`.
    pub fn first<'a, T>(
        &mut self,
        values: impl IntoIterator<Item = ValueRef<'a>>,
        read: impl FnOnce(Row<'_>) -> T,
    ) -> Answer<Option<T>> {
        let (mut found, mut read) = (None, Some(read));
        self.query(values, |row| {
            found = read.take().map(|read| read(row));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Binds parameters 1, 2, … The bytes are not copied: `run` and `query` hold them until after `reset`.
    fn bind<'a>(&mut self, values: impl IntoIterator<Item = ValueRef<'a>>) -> Answer<()> {
        for (index, value) in (1..).zip(values) {
            // SAFETY: the statement is reset; pointers outlive its execution (see above).
            let code = unsafe {
                match value {
                    ValueRef::Null => ffi::sqlite3_bind_null(self.raw, index),
                    ValueRef::Int(v) => ffi::sqlite3_bind_int64(self.raw, index, v),
                    ValueRef::Float64(v) if !v.is_nan() => ffi::sqlite3_bind_double(self.raw, index, v),
                    ValueRef::Text(v) | ValueRef::Json(v) => self.bind_text(index, v.as_bytes()),
                    ValueRef::Native(RAW_TEXT, v) => self.bind_text(index, v),
                    ValueRef::Bytes(v) => ffi::sqlite3_bind_blob64(
                        self.raw,
                        index,
                        // A null pointer would be NULL, not an empty blob; an empty slice's pointer is never null.
                        v.as_ptr().cast(),
                        v.len() as u64,
                        ffi::SQLITE_STATIC(),
                    ),
                    other => self.bind_foreign(index, other)?,
                }
            };
            if code != ffi::SQLITE_OK {
                return Err(self.failure());
            }
        }
        Ok(())
    }

    /// A value that SQLite stores as another kind, copied by SQLite.
    fn bind_foreign(&self, index: i32, value: ValueRef<'_>) -> Answer<i32> {
        let mut text = String::new();
        let refused = |error: Error| {
            let hint = error.hint_text().unwrap_or_default();
            Failure { code: ffi::SQLITE_MISMATCH, text: format!("{error}: {hint}") }
        };
        // SAFETY: SQLite copies the text before the call returns (SQLITE_TRANSIENT).
        let code = unsafe {
            match encode::value(value, &mut text).map_err(refused)? {
                ValueRef::Text(text) => ffi::sqlite3_bind_text64(
                    self.raw,
                    index,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                ValueRef::Int(v) => ffi::sqlite3_bind_int64(self.raw, index, v),
                _ => ffi::SQLITE_MISMATCH,
            }
        };
        Ok(code)
    }

    /// # Safety
    /// As `bind`.
    unsafe fn bind_text(&self, index: i32, text: &[u8]) -> i32 {
        // SAFETY: the caller's.
        unsafe {
            ffi::sqlite3_bind_text64(
                self.raw,
                index,
                text.as_ptr().cast(),
                text.len() as u64,
                ffi::SQLITE_STATIC(),
                ffi::SQLITE_UTF8 as u8,
            )
        }
    }

    fn step(&mut self) -> Answer<bool> {
        // SAFETY: the statement is prepared.
        match unsafe { ffi::sqlite3_step(self.raw) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            _ => Err(self.failure()),
        }
    }

    fn reset(&mut self) {
        // SAFETY: the statement is prepared. The code repeats what `step` said.
        unsafe {
            ffi::sqlite3_reset(self.raw);
            ffi::sqlite3_clear_bindings(self.raw);
        }
    }

    fn failure(&self) -> Failure {
        // SAFETY: the handle is open, and no other thread uses it; the text is copied at once.
        unsafe {
            let handle = self.conn.handle();
            let text = CStr::from_ptr(ffi::sqlite3_errmsg(handle)).to_string_lossy().into_owned();
            Failure { code: ffi::sqlite3_extended_errcode(handle), text }
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: finalized once; null is allowed.
        unsafe { ffi::sqlite3_finalize(self.raw) };
    }
}

/// The row a query stands on.
#[derive(Clone, Copy)]
pub(super) struct Row<'s> {
    raw: *mut ffi::sqlite3_stmt,
    borrowed: PhantomData<&'s ()>,
}

impl<'s> Row<'s> {
    /// The value of a column, with its storage class.
    #[inline]
    pub fn get(&self, column: usize) -> ValueRef<'s> {
        let column = i32::try_from(column).expect("SQLite allows 32,767 columns");
        // SAFETY: the statement stands on a row until the callback that got this `Row` returns, and nothing converts the
        // column between reading its pointer and its length (text and blob pointers first, then bytes).
        unsafe {
            match ffi::sqlite3_column_type(self.raw, column) {
                ffi::SQLITE_INTEGER => ValueRef::Int(ffi::sqlite3_column_int64(self.raw, column)),
                ffi::SQLITE_FLOAT => ValueRef::Float64(ffi::sqlite3_column_double(self.raw, column)),
                ffi::SQLITE_TEXT => {
                    let bytes = self.bytes(ffi::sqlite3_column_text(self.raw, column), column);
                    match std::str::from_utf8(bytes) {
                        Ok(text) => ValueRef::Text(text),
                        Err(_) => ValueRef::Native(RAW_TEXT, bytes),
                    }
                }
                ffi::SQLITE_BLOB => {
                    ValueRef::Bytes(self.bytes(ffi::sqlite3_column_blob(self.raw, column).cast(), column))
                }
                _ => ValueRef::Null,
            }
        }
    }

    pub fn columns(&self) -> usize {
        // SAFETY: the statement stands on a row.
        let count = unsafe { ffi::sqlite3_column_count(self.raw) };
        usize::try_from(count).expect("never negative")
    }

    pub fn int(&self, column: usize) -> i64 {
        match self.get(column) {
            ValueRef::Int(value) => value,
            _ => 0,
        }
    }

    /// # Safety
    /// `start` is what SQLite just gave for `column`.
    unsafe fn bytes(&self, start: *const u8, column: i32) -> &'s [u8] {
        if start.is_null() {
            return &[];
        }
        // SAFETY: the caller's; the length belongs to the pointer as nothing was converted in between.
        unsafe {
            let length = ffi::sqlite3_column_bytes(self.raw, column);
            slice::from_raw_parts(start, usize::try_from(length).expect("never negative"))
        }
    }
}
