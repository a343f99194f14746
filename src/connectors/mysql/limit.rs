//! What a column of text would cut of a value without an error: strict mode does not see spaces at the end. Pure.

use super::{charset::Charset, encode::Misfit, types::Native};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Limit {
    None,
    Chars(u32),
    /// Spaces at the end are dropped in any case.
    Padded(u32),
    /// In the column's character set.
    Bytes(usize, Charset),
}

impl Limit {
    pub fn of(declared: &str, native: &Native) -> Limit {
        let length = || declared.split_once('(')?.1.split(')').next()?.parse().ok();
        let Native::Text(charset) = native else { return Limit::None };
        match declared.split([' ', '(']).next() {
            Some("varchar") => length().map_or(Limit::None, Limit::Chars),
            Some("char") => Limit::Padded(length().unwrap_or(1)),
            Some("tinytext") => Limit::Bytes(0xff, charset.clone()),
            Some("text") => Limit::Bytes(0xffff, charset.clone()),
            Some("mediumtext") => Limit::Bytes(0xff_ffff, charset.clone()),
            _ => Limit::None,
        }
    }

    /// Whether the column keeps all of the text.
    pub fn takes(&self, text: &str) -> Result<(), Misfit> {
        let is_longer = |limit: u32| text.len() > limit as usize && text.chars().count() > limit as usize;
        match self {
            Limit::Chars(limit) | Limit::Padded(limit) if is_longer(*limit) => {
                Err(format!("is longer than {limit} characters"))
            }
            Limit::Padded(_) if text.ends_with(' ') => Err("ends with a space, which a `char` column drops".to_owned()),
            Limit::Bytes(limit, charset) if text.ends_with(' ') && charset.bytes_of(text) > *limit => {
                Err(format!("is longer than {limit} bytes"))
            }
            _ => Ok(()),
        }
    }
}
