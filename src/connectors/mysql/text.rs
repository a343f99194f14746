//! SQL text: names and literals quoted so that nothing in them is SQL.

/// A name in backticks.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `schema`.`name`.
pub(super) fn table(name: &crate::model::TableName) -> String {
    format!("{}.{}", quote(&name.schema), quote(&name.name))
}

/// A text literal that no `sql_mode` reads otherwise: as its bytes.
pub(super) fn literal(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    format!("_utf8mb4 0x{}", hex(text.as_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes it"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_name() {
        assert_eq!(quote("a`; DROP"), "`a``; DROP`");
        assert_eq!(literal("a'\\"), "_utf8mb4 0x61275c");
    }
}
