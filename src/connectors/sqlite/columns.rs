//! What a column's declaration means: affinity, kind, equality. Pure.

use crate::model::{Equality, Type};

/// SQLite's rules, "Determination Of Column Affinity".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Text,
    Numeric,
    Integer,
    Real,
    /// None: values stay as they are.
    Blob,
}

pub(super) fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    if has(&["INT"]) {
        Affinity::Integer
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Affinity::Text
    } else if declared.is_empty() || has(&["BLOB"]) {
        Affinity::Blob
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// Only STRICT tables hold a column to its type.
pub(super) fn kind(declared: &str, strict: bool) -> Type {
    if !strict {
        return Type::Any;
    }
    match declared.to_ascii_uppercase().as_str() {
        "INT" | "INTEGER" => Type::Int,
        "REAL" => Type::Float64,
        "TEXT" => Type::Text,
        "BLOB" => Type::Bytes,
        _ => Type::Any,
    }
}

pub(super) fn equality(collation: &str) -> Equality {
    match collation.eq_ignore_ascii_case("BINARY") {
        true => Equality::Exact,
        false => Equality::Coarse,
    }
}

/// The type that a column of another kind of store gets.
pub(super) fn declare(kind: Type) -> &'static str {
    match kind {
        Type::Any => "",
        Type::Bool => "BOOLEAN",
        Type::Int | Type::Unsigned => "INTEGER",
        Type::Float32 | Type::Float64 => "REAL",
        Type::Bytes | Type::Native => "BLOB",
        Type::Decimal
        | Type::Text
        | Type::Date
        | Type::Time
        | Type::DateTime
        | Type::Instant
        | Type::Interval
        | Type::Uuid
        | Type::Json
        | Type::List
        | Type::Map => "TEXT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities_as_documented() {
        let cases = [
            ("", Affinity::Blob),
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("varchar(9)", Affinity::Text),
            ("DECIMAL(9,2)", Affinity::Numeric),
            ("double", Affinity::Real),
        ];
        for (declared, expected) in cases {
            assert_eq!(affinity(declared), expected, "{declared}");
        }
    }
}
