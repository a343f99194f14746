//! Foreign keys as a table's own statement tells them: whoever may read the table sees it. The catalogue hides them from an
//! account that may only read, without a word. Pure.

use super::{
    definition::{Definition, Line, kind, words},
    server::Family,
};
use crate::model::{Action, TableName};

#[derive(Debug, PartialEq)]
pub(super) struct Foreign {
    pub columns: Vec<String>,
    pub parent: TableName,
    pub parent_columns: Vec<String>,
    pub on_delete: Action,
    pub on_update: Action,
}

/// Those of a table in `schema`. `None`: one of them cannot be read.
pub(super) fn of(definition: &Definition<'_>, schema: &str, family: Family) -> Option<Vec<Foreign>> {
    let lines = definition.lines.iter().filter(|line| kind(line) == Line::ForeignKey);
    lines.map(|line| read(line, schema, family)).collect()
}

/// `CONSTRAINT c FOREIGN KEY (a, b) REFERENCES p (x, y) ON DELETE CASCADE ON UPDATE SET NULL`.
fn read(line: &str, schema: &str, family: Family) -> Option<Foreign> {
    let words = words(line);
    let at = |word: &str| words.iter().position(|found| *found == word);
    let columns = names(words.get(at("KEY")? + 1)?);
    let parent = at("REFERENCES")?;
    let mut of = names(words.get(parent + 1)?).into_iter();
    let parent_columns = names(words.get(parent + 2)?);
    let parent = match (of.next()?, of.next()) {
        (schema, Some(name)) => TableName::new(schema, name),
        (name, None) => TableName::new(schema, name),
    };
    let action = |event: &str| {
        let on = words.windows(2).position(|words| words == ["ON", event]);
        match (on.map_or(&[][..], |on| &words[on + 2..]), family) {
            (["CASCADE", ..], _) => Action::Cascade,
            (["SET", "DEFAULT", ..], _) => Action::SetDefault,
            (["SET", ..], _) => Action::SetNull,
            // What goes without saying.
            (["RESTRICT", ..], _) | ([], Family::Mariadb) => Action::Restrict,
            _ => Action::None,
        }
    };
    Some(Foreign { columns, parent, parent_columns, on_delete: action("DELETE"), on_update: action("UPDATE") })
}

/// Quoted names, whatever stands between them.
fn names(text: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), text);
    while let Some((_, inside)) = rest.split_once('`') {
        let (mut name, mut chars) = (String::new(), inside.char_indices().peekable());
        rest = "";
        while let Some((at, c)) = chars.next() {
            if c != '`' {
                name.push(c);
            } else if chars.next_if(|(_, next)| *next == '`').is_some() {
                name.push('`');
            } else {
                rest = &inside[at + 1..];
                break;
            }
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_read_from_their_lines() {
        let read = |line: &str| read(line, "shop", Family::Mysql).expect("readable");
        let key = read(
            "CONSTRAINT `f` FOREIGN KEY (`a``b`,`c`) REFERENCES `other`.`p, q` (`x`, `y`) ON DELETE SET NULL ON UPDATE \
             CASCADE",
        );
        assert_eq!((key.columns, key.parent_columns), (vec!["a`b".into(), "c".into()], vec!["x".into(), "y".into()]));
        assert_eq!(key.parent, TableName::new("other", "p, q"));
        assert_eq!((key.on_delete, key.on_update), (Action::SetNull, Action::Cascade));
        let plain = read("CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`x`) ON UPDATE SET DEFAULT");
        assert_eq!((plain.parent, plain.on_delete), (TableName::new("shop", "p"), Action::None));
        assert_eq!(plain.on_update, Action::SetDefault);
        let line = "CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`x`) ON DELETE NO ACTION";
        let maria = super::read(line, "shop", Family::Mariadb).expect("readable");
        assert_eq!((maria.on_delete, maria.on_update), (Action::None, Action::Restrict));
    }
}
