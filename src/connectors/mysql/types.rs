//! What a column of the server is, read from its declared type, and the model's type for it. Pure.

use super::charset::Charset;
use crate::model::Type;

/// A type of the server, with what is needed to read its values, in rows of a query as in rows of the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Native {
    /// `tinyint` to `bigint`; its width in bytes.
    Int(u8),
    Unsigned(u8),
    Year,
    /// Its width in bits.
    Bit(u8),
    Decimal {
        precision: u8,
        scale: u8,
    },
    Float,
    Double,
    Date,
    /// Digits of the second, here and below.
    DateTime(u8),
    Timestamp(u8),
    Time(u8),
    Text(Charset),
    /// `binary(n)` has a width, to which the log's values are padded again.
    Bytes {
        width: Option<u32>,
    },
    Enum(Vec<String>),
    Set(Vec<String>),
    /// MySQL's; MariaDB's is text.
    Json,
    Geometry,
    Uuid,
    Inet6,
    Inet4,
    Vector,
}

impl Native {
    /// From `Column::declared`: the server's `COLUMN_TYPE` and, for text, `CHARACTER SET x COLLATE y`. `None`: a type
    /// that we do not know.
    pub fn of(declared: &str) -> Option<Native> {
        let start = declared.trim_start();
        let end = start.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(start.len());
        let (name, rest) = start.split_at(end);
        let name = name.to_ascii_lowercase();
        if let "enum" | "set" = name.as_str() {
            let labels = labels(rest)?;
            return Some(if name == "enum" { Native::Enum(labels) } else { Native::Set(labels) });
        }
        let (arguments, rest) = arguments(rest);
        let first = arguments.first().copied();
        let small = |number: Option<u32>| u8::try_from(number.unwrap_or(0)).unwrap_or(0);
        let int = |width| if has_word(rest, "unsigned") { Native::Unsigned(width) } else { Native::Int(width) };
        Some(match name.as_str() {
            "tinyint" => int(1),
            "smallint" => int(2),
            "mediumint" => int(3),
            "int" | "integer" => int(4),
            "bigint" => int(8),
            "year" => Native::Year,
            "bit" => Native::Bit(small(first.or(Some(1)))),
            "decimal" | "numeric" => {
                Native::Decimal { precision: small(first.or(Some(10))), scale: small(arguments.get(1).copied()) }
            }
            "float" => Native::Float,
            "double" | "real" => Native::Double,
            "date" => Native::Date,
            "datetime" => Native::DateTime(small(first)),
            "timestamp" => Native::Timestamp(small(first)),
            "time" => Native::Time(small(first)),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                Native::Text(Charset::named(after(rest, "CHARACTER SET ")?))
            }
            "binary" => Native::Bytes { width: Some(first.unwrap_or(1)) },
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Native::Bytes { width: None },
            "json" => Native::Json,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geometrycollection" | "geomcollection" => Native::Geometry,
            "uuid" => Native::Uuid,
            "inet6" => Native::Inet6,
            "inet4" => Native::Inet4,
            "vector" => Native::Vector,
            _ => return None,
        })
    }

    pub fn kind(&self) -> Type {
        match self {
            Native::Int(_) | Native::Year => Type::Int,
            Native::Unsigned(_) | Native::Bit(_) => Type::Unsigned,
            Native::Decimal { .. } => Type::Decimal,
            Native::Float => Type::Float32,
            Native::Double => Type::Float64,
            Native::Date => Type::Date,
            Native::DateTime(_) => Type::DateTime,
            Native::Timestamp(_) => Type::Instant,
            Native::Time(_) => Type::Time,
            Native::Text(_) | Native::Enum(_) | Native::Set(_) | Native::Inet6 | Native::Inet4 => Type::Text,
            Native::Bytes { .. } => Type::Bytes,
            Native::Json => Type::Json,
            Native::Geometry | Native::Vector => Type::Native,
            Native::Uuid => Type::Uuid,
        }
    }
}

/// `(10,2) unsigned` as ([10, 2], " unsigned").
fn arguments(rest: &str) -> (Vec<u32>, &str) {
    let inside = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    match inside {
        Some((numbers, rest)) => (numbers.split(',').filter_map(|number| number.trim().parse().ok()).collect(), rest),
        None => (Vec::new(), rest),
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().any(|found| found.eq_ignore_ascii_case(word))
}

/// The word behind `mark`.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let rest = &text[text.find(mark)? + mark.len()..];
    Some(rest.split(' ').next().unwrap_or(rest))
}

/// The labels of `('a','b''c')`.
fn labels(text: &str) -> Option<Vec<String>> {
    let mut labels = Vec::new();
    let mut chars = text.strip_prefix('(')?.chars().peekable();
    loop {
        (chars.next()? == '\'').then_some(())?;
        let mut label = String::new();
        loop {
            match chars.next()? {
                '\'' if chars.next_if_eq(&'\'').is_some() => label.push('\''),
                '\'' => break,
                '\\' => label.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    '0' => '\0',
                    'Z' => '\x1a',
                    other => other,
                }),
                other => label.push(other),
            }
        }
        labels.push(label);
        match chars.next()? {
            ',' => {}
            ')' => return Some(labels),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_declared_types() {
        let text = |charset: &str| Native::Text(Charset::named(charset));
        let strings = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
        for (declared, native) in [
            ("tinyint(1)", Native::Int(1)),
            ("bigint(20) unsigned zerofill", Native::Unsigned(8)),
            ("int", Native::Int(4)),
            ("bit(64)", Native::Bit(64)),
            ("decimal(65,30)", Native::Decimal { precision: 65, scale: 30 }),
            ("double(10,2) unsigned", Native::Double),
            ("datetime(6)", Native::DateTime(6)),
            ("timestamp", Native::Timestamp(0)),
            ("varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", text("latin1")),
            ("text /*M!100301 COMPRESSED*/ CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", text("utf8mb4")),
            ("binary(16)", Native::Bytes { width: Some(16) }),
            ("longblob", Native::Bytes { width: None }),
            ("enum('a','b''c','','d,e)') CHARACTER SET latin1", Native::Enum(strings(&["a", "b'c", "", "d,e)"]))),
            ("set('x\\\\y')", Native::Set(strings(&["x\\y"]))),
            ("vector(3)", Native::Vector),
            ("year(4)", Native::Year),
        ] {
            assert_eq!(Native::of(declared), Some(native), "{declared}");
        }
        assert_eq!(Native::of("xmltype"), None);
        assert_eq!(Native::of("enum('a"), None);
    }
}
