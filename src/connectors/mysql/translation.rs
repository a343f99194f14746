//! A table of MySQL or MariaDB in the words of another server of the two. Pure.
//!
//! Rows matter more than rules: what the other server may understand otherwise is left out and told, and a column whose
//! values it might compute otherwise becomes an ordinary one that takes the source's values.

use super::{
    collations,
    columns::{OLD_INDEX_BYTES, is_same_family, map, takes_long_indexes},
    definition::{Definition, Line, kind, words},
    expressions::{is_common, is_of_numbers},
    server::{Family, Server},
    text::quote,
    verbatim,
};
use crate::model::{Column, Severity, Table, Type};

/// What `SHOW CREATE TABLE` would say there, in lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Translation {
    pub lines: Vec<String>,
    pub options: String,
    /// What is not as at the source.
    pub told: Vec<(Severity, String)>,
}

/// `None`: the table comes from another kind of store.
pub(super) fn translate(table: &Table, server: &Server) -> Option<Translation> {
    let definition = Definition::read(table.definition.as_deref()?)?;
    if is_verbatim(table, server) {
        let (lines, mut told) = verbatim::lines(table, &definition, server);
        let (options, engine) = transactional(&verbatim::options(definition.options, server));
        told.extend(engine);
        return Some(Translation { lines, options, told });
    }
    Family::named(&table.family)?;
    let mut translation = Translation::default();
    for line in &definition.lines {
        let translated = match kind(line) {
            Line::Column(name) => translation.column(table, server, line, name),
            Line::Primary => translation.index(table, server, line, None),
            Line::Unique(name) | Line::Index(name) => translation.index(table, server, line, Some(name)),
            Line::ForeignKey => Some((*line).to_owned()),
            Line::Check => translation.check(server, line),
        };
        translation.lines.extend(translated);
    }
    translation.options = translation.options(&definition, server);
    Some(translation)
}

/// Whether the source's own words mean the same there.
pub(super) fn is_verbatim(table: &Table, server: &Server) -> bool {
    is_same_family(table, server) && !(is_old(server) && table.definition.as_deref().is_some_and(is_new))
}

/// Tables that a server of the same family, but of before its eighth version, may not understand.
fn is_old(server: &Server) -> bool {
    !server.is_mariadb() && server.version < (8, 0, 0)
}

fn is_new(definition: &str) -> bool {
    let marks = [
        "_0900_",
        "utf8mb3",
        " json",
        " vector(",
        " GENERATED ALWAYS ",
        "/*!80",
        "DEFAULT (",
        " CHECK (",
        "((",
        " DESC",
        "gb18030",
    ];
    marks.iter().any(|mark| definition.contains(mark))
}

fn is_number(table: &Table, name: &str) -> bool {
    let mut columns = table.columns.iter();
    let column = columns.find(|column| column.name.eq_ignore_ascii_case(name));
    column.is_some_and(|column| matches!(column.kind, Type::Bool | Type::Int | Type::Unsigned | Type::Decimal))
}

/// Rows are written in transactions, so that no torn batch stays.
fn transactional(options: &str) -> (String, Option<(Severity, String)>) {
    let engine = words(options).into_iter().find_map(|word| word.strip_prefix("ENGINE="));
    match engine.filter(|engine| !engine.eq_ignore_ascii_case("InnoDB")) {
        None => (options.to_owned(), None),
        Some(engine) => {
            let text = format!("its engine is {engine}, which has no transactions: here it is InnoDB");
            let options = options.replacen(&format!("ENGINE={engine}"), "ENGINE=InnoDB", 1);
            (options.replace(" ROW_FORMAT=FIXED", "").replace(" ROW_FORMAT=PAGE", ""), Some((Severity::Info, text)))
        }
    }
}

impl Translation {
    fn tell(&mut self, text: String) {
        self.told.push((Severity::Info, text));
    }

    fn column(&mut self, table: &Table, server: &Server, line: &str, name: &str) -> Option<String> {
        let index = table.columns.iter().position(|column| quote(&column.name) == name)?;
        let column = &table.columns[index];
        let declared = map(table, index, server).declared;
        let said = Attributes::read(&line[name.len()..]);
        let mut text = format!("{name} {declared}");
        if let Some((expression, kept)) = &said.generated {
            if generates(server) && is_of_numbers(expression, |name| is_number(table, name)) {
                text += &format!(" GENERATED ALWAYS AS {expression} {kept}");
                self.finish_column(&mut text, server, column, &said);
                return Some(text);
            }
            self.tell(format!(
                "column `{}` is computed at the source; here it is an ordinary one and takes those values",
                column.name
            ));
        }
        text += if table.key.contains(&index) || !column.nullable { " NOT NULL" } else { " NULL" };
        if said.counts {
            text += " AUTO_INCREMENT";
        } else if let Some(default) = self.default_value(server, column, &declared, &said) {
            text += &format!(" DEFAULT {default}");
        }
        if let Some(moment) = said.on_update {
            text += &format!(" ON UPDATE {moment}");
        }
        self.finish_column(&mut text, server, column, &said);
        Some(text)
    }

    fn finish_column(&mut self, text: &mut String, server: &Server, column: &Column, said: &Attributes<'_>) {
        let hides = match server.family {
            Family::Mariadb => server.version >= (10, 3, 3),
            Family::Mysql => server.version >= (8, 0, 23),
        };
        match (said.invisible, hides) {
            (true, true) => *text += " INVISIBLE",
            (true, false) => {
                self.tell(format!("column `{}` is invisible at the source, and visible here", column.name))
            }
            (false, _) => {}
        }
        if let Some(comment) = said.comment {
            *text += &format!(" COMMENT {comment}");
        }
        if let Some(rule) = said.check {
            match checks(server) && is_common(rule) {
                true => *text += &format!(" CHECK {rule}"),
                false => self.tell(format!("the CHECK of column `{}` is not made here", column.name)),
            }
        }
    }

    /// What stands behind `DEFAULT`.
    fn default_value(
        &mut self,
        server: &Server,
        column: &Column,
        declared: &str,
        said: &Attributes<'_>,
    ) -> Option<String> {
        let Some(default) = said.default else {
            // Old servers give the first column of this kind one that writes itself.
            let writes_itself = match server.family {
                Family::Mysql => server.version < (8, 0, 2),
                Family::Mariadb => server.version < (10, 10, 0),
            };
            return (writes_itself && declared.starts_with("timestamp") && !column.nullable).then(|| "0".to_owned());
        };
        let computes = match server.family {
            Family::Mariadb => server.version >= (10, 2, 1),
            Family::Mysql => server.version >= (8, 0, 13),
        };
        let takes_plain = server.is_mariadb() || !is_long(declared);
        if default.eq_ignore_ascii_case("NULL") {
            return Some("NULL".to_owned());
        }
        let is_moment = default.to_ascii_lowercase().starts_with("current_timestamp");
        let is_plain = is_moment || !default.contains('(');
        let inside = default.strip_prefix('(').map_or(default, |rest| rest.trim_end_matches(')'));
        match () {
            () if is_plain && takes_plain => Some(default.to_owned()),
            () if computes && (is_plain || is_common(default) || is_common(inside)) => {
                Some(if default.starts_with('(') { default.to_owned() } else { format!("({default})") })
            }
            () => {
                self.tell(format!("the default of column `{}` is not made here: {default}", column.name));
                None
            }
        }
    }

    /// `name`: `None` for the primary key.
    fn index(&mut self, table: &Table, server: &Server, line: &str, name: Option<&str>) -> Option<String> {
        let all = words(line);
        let at = all.iter().position(|word| word.starts_with('('))?;
        let parts = all[at];
        let called = name.unwrap_or("PRIMARY");
        let unique = all[0] == "UNIQUE" || name.is_none();
        let rest = &all[at + 1..];
        let other_kind = match all[0] {
            "FULLTEXT" => rest.iter().any(|word| word.contains("PARSER")),
            "SPATIAL" => !server.is_mariadb() && server.version < (5, 7, 5),
            "VECTOR" => true,
            _ => false,
        };
        let is_expression = parts.starts_with("((") || parts.contains(",(");
        let whole_text = !server.is_mariadb() && holds_whole_text(table, server, parts);
        if other_kind || is_expression || whole_text {
            let severity = if unique { Severity::Warning } else { Severity::Info };
            let why = if unique { ": equal values are not refused" } else { "" };
            self.told.push((severity, format!("the index {called} cannot be made here{why}")));
            return None;
        }
        let walks_down = match server.family {
            Family::Mysql => server.version >= (8, 0, 1),
            Family::Mariadb => server.version >= (10, 8, 0),
        };
        let parts = if walks_down { parts.to_owned() } else { parts.replace("` DESC", "`").replace(") DESC", ")") };
        let parts = self.short(table, server, parts, called, unique);
        let mut text = format!("{} {parts}", all[..at].join(" "));
        if let Some(comment) = rest.iter().position(|word| *word == "COMMENT").and_then(|at| rest.get(at + 1)) {
            text += &format!(" COMMENT {comment}");
        }
        let hidden = rest.iter().any(|word| *word == "IGNORED" || word.contains(" INVISIBLE "));
        match (hidden, server.family) {
            (true, Family::Mysql) if server.version >= (8, 0, 0) => text += " /*!80000 INVISIBLE */",
            (true, Family::Mariadb) if server.version >= (10, 6, 0) => text += " IGNORED",
            _ => {}
        }
        Some(text)
    }

    /// Old servers keep 767 bytes of a column in an index.
    fn short(&mut self, table: &Table, server: &Server, mut parts: String, called: &str, unique: bool) -> String {
        if takes_long_indexes(server) {
            return parts;
        }
        for (index, column) in table.columns.iter().enumerate() {
            let (name, bytes) = (quote(&column.name), collations::bytes(&map(table, index, server).declared));
            let whole = |end: &&str| parts.contains(&format!("{name}{end}"));
            let (Some((most, of_one)), Some(end)) = (bytes, [",", ")"].into_iter().find(whole)) else { continue };
            if most <= OLD_INDEX_BYTES {
                continue;
            }
            match unique {
                true => self.told.push((
                    Severity::Blocking,
                    format!(
                        "the index {called} is over {most} bytes of column `{}`; this server takes 767",
                        column.name
                    ),
                )),
                false => {
                    parts =
                        parts.replace(&format!("{name}{end}"), &format!("{name}({}){end}", OLD_INDEX_BYTES / of_one))
                }
            }
        }
        parts
    }

    /// `CONSTRAINT `n` CHECK (…) /*!80016 NOT ENFORCED */`.
    fn check(&mut self, server: &Server, line: &str) -> Option<String> {
        let all = words(line);
        let rule =
            all.iter().position(|word| *word == "CHECK").map(|at| (at, all.get(at + 1).copied().unwrap_or_default()));
        match rule {
            Some((at, rule)) if checks(server) && is_common(rule) && all.len() == at + 2 => Some(line.to_owned()),
            _ => {
                self.tell(format!("not made here: {line:.80}"));
                None
            }
        }
    }

    fn options(&mut self, definition: &Definition<'_>, server: &Server) -> String {
        let named = verbatim::options(definition.options, server);
        let all = words(&named);
        let value = |name: &str| all.iter().find_map(|word| word.strip_prefix(name));
        let mut text = "ENGINE=InnoDB".to_owned();
        if let Some(engine) = value("ENGINE=").filter(|engine| !engine.eq_ignore_ascii_case("InnoDB")) {
            self.tell(format!("its engine is {engine} at the source: here it is InnoDB"));
        }
        if let Some(charset) = value("CHARSET=") {
            let own = value("COLLATE=").unwrap_or_default();
            text += &format!(" DEFAULT {}", collations::here(charset, own, false, server).words);
        }
        if let Some(comment) = value("COMMENT=") {
            text += &format!(" COMMENT={comment}");
        }
        if all.iter().any(|word| word.starts_with("PARTITION") || word.contains(" PARTITION BY ")) {
            self.tell(
                "its partitions are not made here: it is one table; make it by hand beforehand for others".to_owned(),
            );
        }
        text
    }
}

fn generates(server: &Server) -> bool {
    match server.family {
        Family::Mysql => server.version >= (5, 7, 6),
        Family::Mariadb => server.version >= (10, 2, 1),
    }
}

fn checks(server: &Server) -> bool {
    match server.family {
        Family::Mysql => server.version >= (8, 0, 16),
        Family::Mariadb => server.version >= (10, 2, 1),
    }
}

/// MySQL gives these no default that is not an expression, and no index without a length.
fn is_long(declared: &str) -> bool {
    let name = declared.split(['(', ' ']).next().unwrap_or_default();
    name.ends_with("text")
        || name.ends_with("blob")
        || matches!(name, "json" | "geometry" | "point" | "linestring" | "polygon")
}

/// MariaDB keeps a hash of them.
fn holds_whole_text(table: &Table, server: &Server, parts: &str) -> bool {
    table.columns.iter().enumerate().any(|(index, column)| {
        let name = quote(&column.name);
        let whole = [",", ")", " "].iter().any(|end| parts.contains(&format!("{name}{end}")));
        whole && is_long(&map(table, index, server).declared)
    })
}

/// What a column's line says behind its type.
#[derive(Debug, Default, PartialEq)]
struct Attributes<'l> {
    default: Option<&'l str>,
    on_update: Option<&'l str>,
    comment: Option<&'l str>,
    check: Option<&'l str>,
    /// The expression in its brackets, and how it is kept.
    generated: Option<(&'l str, &'static str)>,
    counts: bool,
    invisible: bool,
}

impl<'l> Attributes<'l> {
    fn read(line: &'l str) -> Attributes<'l> {
        let mut said = Attributes::default();
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            match word {
                "DEFAULT" => said.default = words.next(),
                "UPDATE" => said.on_update = words.next(),
                "COMMENT" => said.comment = words.next(),
                "CHECK" => said.check = words.next(),
                "AS" => said.generated = words.next().map(|expression| (expression, "VIRTUAL")),
                "STORED" | "PERSISTENT" => {
                    said.generated = said.generated.map(|(expression, _)| (expression, "STORED"))
                }
                "AUTO_INCREMENT" => said.counts = true,
                "INVISIBLE" => said.invisible = true,
                word if word.starts_with("/*") && word.contains(" INVISIBLE ") => said.invisible = true,
                _ => {}
            }
        }
        said
    }
}
