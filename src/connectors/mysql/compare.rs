//! Whether rows of a source's table can be written into one that is there. Pure.

use super::{
    collations, create,
    definition::{self, Definition},
    schema::Shape,
    server::Server,
    text::{self, quote},
    types::Native,
    verbatim::computed_by_zone,
};
use crate::model::{Column, Equality, Table, Type};

/// What stands in the way, and the statement that mends it.
pub(super) fn compare(table: &Table, there: &Shape, server: &Server) -> Vec<(String, String)> {
    let mut objections = Vec::new();
    let name = text::table(&table.name);
    let old = quote(&format!("{}_old", table.name.name));
    let anew = format!("ALTER TABLE {name} RENAME TO {}.{old}", quote(&table.name.schema));
    if !there.engine.eq_ignore_ascii_case("innodb") {
        let text = format!("its engine is {}, which has no transactions: a torn batch would stay", there.engine);
        objections.push((text, format!("ALTER TABLE {name} ENGINE=InnoDB")));
    }
    let lower = |table: &Table| table.key.iter().map(|&at| table.columns[at].name.to_lowercase()).collect::<Vec<_>>();
    let (key, have) = (lower(table), lower(&there.table));
    if !table.is_keyless() && key != have {
        let text = format!("its key there is ({}), at the source ({})", have.join(", "), key.join(", "));
        objections.push((text, anew.clone()));
    }
    let definition = there.table.definition.as_deref().and_then(Definition::read);
    for (index, at_source) in table.columns.iter().enumerate() {
        let Some((place, here)) = find(&there.table, &at_source.name) else { continue };
        if table.key.contains(&index) && is_coarser(at_source, here) {
            let text = format!(
                "its key column `{}` takes other values for equal than the source does (`{}` there, `{}` at the \
                 source): two rows could become one",
                here.name, here.declared, at_source.declared
            );
            let declared = create::declaration(table, index, server);
            objections.push((text, format!("ALTER TABLE {name} MODIFY COLUMN {declared}")));
        }
        if table.key.contains(&index) && !reads_back(at_source, &there.natives[place]) {
            let text = format!(
                "its key column `{}` is declared `{}` there, which may show the source's keys in another spelling: rows \
                 could not be told from others that are too many",
                here.name, here.declared
            );
            let declared = create::declaration(table, index, server);
            objections.push((text, format!("ALTER TABLE {name} MODIFY COLUMN {declared}")));
            continue;
        }
        if at_source.nullable && !here.nullable && matches!(there.natives[place], Native::Timestamp(_)) {
            let text = format!(
                "its column `{}` may not be NULL there, as it may at the source: servers may put the present moment in",
                here.name
            );
            let declared = create::declaration(table, index, server);
            objections.push((text, format!("ALTER TABLE {name} MODIFY COLUMN {declared}")));
            continue;
        }
        if here.generated && !at_source.generated {
            let text = format!("its column `{}` is computed there, but not at the source", here.name);
            objections.push((text, anew.clone()));
            continue;
        }
        if here.generated {
            if computed_by_zone(&there.table).contains(&here.name.as_str()) {
                let text = format!(
                    "its column `{}` is computed there, in our time zone and not in that of whoever writes at the source",
                    here.name
                );
                objections.push((text, anew.clone()));
            }
            continue;
        }
        if !carries(at_source, &there.natives[place]) || rounds(at_source, here) {
            let text = format!(
                "its column `{}` is declared `{}` there, which does not hold what the source's `{}` does",
                here.name,
                here.declared,
                if at_source.declared.is_empty() {
                    format!("{:?}", at_source.kind)
                } else {
                    at_source.declared.clone()
                }
            );
            let declared = create::declaration(table, index, server);
            objections.push((text, format!("ALTER TABLE {name} MODIFY COLUMN {declared}")));
        }
    }
    for extra in there.table.columns.iter().filter(|extra| find(table, &extra.name).is_none()) {
        let line = definition.as_ref().and_then(|definition| definition.column(&extra.name));
        if !extra.generated && !line.is_none_or(definition::has_default) {
            let text = format!("its column `{}` must not be NULL, has no default, and the source lacks it", extra.name);
            objections.push((text, format!("ALTER TABLE {name} DROP COLUMN {}", quote(&extra.name))));
        }
    }
    objections
}

/// By its name; case does not count.
pub(super) fn find<'t>(table: &'t Table, name: &str) -> Option<(usize, &'t Column)> {
    table.columns.iter().enumerate().find(|(_, column)| column.name.eq_ignore_ascii_case(name))
}

pub(super) fn is_coarser(at_source: &Column, here: &Column) -> bool {
    fn collation(column: &Column) -> &str {
        column.declared.rsplit_once(" COLLATE ").map_or("", |(_, name)| name)
    }
    match (here.equality, at_source.equality) {
        (Equality::Exact, _) => false,
        // Their texts have no spaces at the end, which alone such a collation does not see.
        (_, Equality::Exact) => !(is_spelled_without_spaces(at_source) && collation(here).ends_with("_bin")),
        _ => !collations::is_as_fine(collation(at_source), collation(here)),
    }
}

fn is_spelled_without_spaces(column: &Column) -> bool {
    column.kind == Type::Uuid || ["inet4", "inet6"].contains(&column.declared.as_str())
}

/// Whether any value of the source fits; what does not is refused row by row.
pub(super) fn carries(at_source: &Column, native: &Native) -> bool {
    use Native as N;
    let own = Native::of(&at_source.declared).filter(|own| own.kind() == at_source.kind);
    if own.as_ref() == Some(native) {
        return true;
    }
    match (at_source.kind, native) {
        (Type::Any, _) => true,
        (kind, native) if kind == native.kind() && kind != Type::Native => true,
        (Type::Int | Type::Unsigned, N::Int(_) | N::Unsigned(_) | N::Bit(_) | N::Year) => true,
        (Type::Bool, N::Int(_) | N::Unsigned(_) | N::Bit(_)) => true,
        (Type::Int | Type::Unsigned, N::Decimal { .. } | N::Double) => true,
        (Type::Float32, N::Double) => true,
        (Type::Instant, N::DateTime(_)) => true,
        (Type::Text | Type::Json, N::Text(_) | N::Json | N::Uuid | N::Inet4 | N::Inet6 | N::Enum(_) | N::Set(_)) => {
            true
        }
        (Type::Uuid | Type::Interval | Type::Decimal, N::Text(_)) => true,
        // Rows with a value there are refused, as the check says.
        (Type::List | Type::Map | Type::Native, N::Text(_)) => own.is_none_or(|own| own == N::Vector),
        _ => false,
    }
}

/// Whether the source finds its row again by what the target shows of its key: as it was written, not as another form of
/// the same.
fn reads_back(at_source: &Column, native: &Native) -> bool {
    use Native as N;
    let own = Native::of(&at_source.declared).filter(|own| own.kind() == at_source.kind);
    match (at_source.kind, native) {
        _ if own.as_ref() == Some(native) => true,
        (Type::Text, N::Enum(labels) | N::Set(labels)) => match own {
            Some(N::Enum(own) | N::Set(own)) => own.iter().all(|label| labels.contains(label)),
            _ => false,
        },
        (Type::Any, native) => matches!(native, N::Text(_) | N::Int(_) | N::Unsigned(_) | N::Bytes { .. }),
        (Type::Text, N::Uuid | N::Inet6 | N::Inet4 | N::Json) => false,
        (Type::Int | Type::Unsigned, N::Year) => false,
        _ => true,
    }
}

/// `float(10,2)` and the like: the server rounds what it is given.
fn rounds(at_source: &Column, here: &Column) -> bool {
    let bare = |column: &Column| column.declared.split(" CHARACTER SET").next().unwrap_or_default().to_owned();
    (here.declared.starts_with("float(") || here.declared.starts_with("double("))
        && here.declared.contains(',')
        && bare(at_source) != bare(here)
}
