//! Columns of text under headings; colours on a terminal only, unless NO_COLOR is set.

use super::Show;
use std::{fmt::Write, io::IsTerminal, sync::LazyLock};

/// Rows under headings.
pub struct Table {
    indent: &'static str,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

struct Column {
    title: &'static str,
    is_wide: bool,
}

/// What stands in a column of a row.
pub struct Cell {
    text: String,
    paint: Paint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Good,
    Moving,
    Careful,
    Bad,
    Dim,
}

impl Table {
    /// `wide`: columns behind the others that only `-o wide` shows; every row has them.
    pub fn new(titles: &[&'static str], wide: &[&'static str]) -> Table {
        let narrow = titles.iter().map(|title| Column { title, is_wide: false });
        let columns = narrow.chain(wide.iter().map(|title| Column { title, is_wide: true })).collect();
        Table { indent: "", columns, rows: Vec::new() }
    }

    pub fn indented(self) -> Table {
        Table { indent: "  ", ..self }
    }

    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn text(&self, show: Show) -> String {
        let shown: Vec<usize> =
            (0..self.columns.len()).filter(|&at| show.is_wide() || !self.columns[at].is_wide).collect();
        let titles = || self.columns.iter().map(|column| Cell::from(column.title)).collect::<Vec<_>>();
        let heading = if show.is_quiet() { None } else { Some(titles()) };
        let rows: Vec<&Vec<Cell>> = heading.iter().chain(&self.rows).collect();
        let width = |at: usize| rows.iter().map(|row| row[at].text.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in rows {
            text.push_str(self.indent);
            for (place, &at) in shown.iter().enumerate() {
                let cell = &row[at];
                text.push_str(&cell.painted());
                if place + 1 < shown.len() {
                    let pad = widths[at] - cell.text.chars().count() + 2;
                    let _ = write!(text, "{:pad$}", "");
                }
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

impl Cell {
    pub fn new(text: impl Into<String>, paint: Paint) -> Cell {
        // A line break in a name would break the table.
        Cell { text: text.into().replace(char::is_control, " "), paint }
    }

    pub fn painted(&self) -> String {
        painted(&self.text, self.paint)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Paint::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::new(text, Paint::Plain)
    }
}

static COLOURS: LazyLock<bool> = LazyLock::new(|| {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
});

pub fn painted(text: &str, paint: Paint) -> String {
    let code = match paint {
        Paint::Good => "32",
        Paint::Moving => "36",
        Paint::Careful => "33",
        Paint::Bad => "31",
        Paint::Dim => "2",
        Paint::Plain => return text.to_owned(),
    };
    if *COLOURS { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
