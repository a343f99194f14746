//! Which expressions mean the same to MySQL and MariaDB. Pure.

/// Functions that both have, with the same result for the same values.
const FUNCTIONS: &[&str] = &[
    "abs",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "curdate",
    "curtime",
    "current_timestamp",
    "date",
    "day",
    "dayofmonth",
    "floor",
    "greatest",
    "hex",
    "hour",
    "if",
    "ifnull",
    "in",
    "json_array",
    "json_object",
    "json_valid",
    "least",
    "left",
    "length",
    "locate",
    "lower",
    "lcase",
    "minute",
    "mod",
    "month",
    "now",
    "nullif",
    "octet_length",
    "repeat",
    "replace",
    "reverse",
    "right",
    "second",
    "sign",
    "substr",
    "substring",
    "time",
    "trim",
    "truncate",
    "ucase",
    "unhex",
    "upper",
    "uuid",
    "year",
];

/// Words that are no functions.
const WORDS: &[&str] =
    &["and", "or", "not", "is", "null", "between", "like", "case", "when", "then", "else", "end", "true", "false"];

/// Whether nothing in it is peculiar to one of the two: only columns, numbers, plain texts, comparisons, sums, products
/// and the functions above. (Not quotients: how many digits they have is a setting.)
pub(super) fn is_common(expression: &str) -> bool {
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '`' => match rest[1..].find('`') {
                Some(end) => &rest[end + 2..],
                None => return false,
            },
            '\'' => match text_end(rest) {
                Some(end) => &rest[end..],
                None => return false,
            },
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                let word = word.to_ascii_lowercase();
                let is_function = behind.starts_with('(');
                // How texts are spelled: `_utf8mb4'x'`.
                let is_charset = word.starts_with("_utf8") && behind.starts_with('\'');
                let is_known = match is_function {
                    true => FUNCTIONS.contains(&word.as_str()) || WORDS.contains(&word.as_str()),
                    false => WORDS.contains(&word.as_str()) || word == "in",
                };
                if !(is_known || is_charset) {
                    return false;
                }
                behind
            }
            c if c.is_ascii_digit() || c.is_whitespace() || "().,+-*<>=!".contains(c) => &rest[1..],
            _ => return false,
        };
    }
    true
}

/// Whether it is about numbers only: texts and moments depend on collations, character sets and zones. `is_number`: of a
/// column by its name.
pub(super) fn is_of_numbers(expression: &str, is_number: impl Fn(&str) -> bool) -> bool {
    let mut names = expression.split('`').skip(1).step_by(2);
    is_common(expression) && !expression.contains('\'') && names.all(is_number)
}

/// Where a text with no backslash ends.
fn text_end(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find(['\'', '\\'])?;
        match (text.as_bytes()[at], text.as_bytes().get(at + 1)) {
            (b'\\', _) => return None,
            (_, Some(b'\'')) => at += 2,
            _ => return Some(at + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_not_computed_by_the_other_server() {
        let is_number = |name: &str| name == "n" || name == "m";
        for numbers in ["(`n` * 2)", "if((`n` > `m`),1,0)", "greatest(`n`,`m`,3)"] {
            assert!(is_of_numbers(numbers, is_number), "{numbers}");
        }
        for other in ["(`code` = `n`)", "(`n` = 'VIP')", "upper(`code`)", "(`n` / 3)"] {
            assert!(!is_of_numbers(other, is_number), "{other}");
        }
    }

    #[test]
    fn what_both_understand() {
        for common in
            ["((`v` * 2))", "(concat(`a``b`,_utf8mb4'it''s',1.5))", "uuid()", "(`x` is not null and `y` in (1,2))"]
        {
            assert!(is_common(common), "{common}");
        }
        for other in [
            "(`a` / 3)",
            "json_extract(`j`,'$.a')",
            "(`a` regexp 'x')",
            "nextval(`s`)",
            "('\\n')",
            "cast(`a` as char)",
            "(`a",
            "a",
        ] {
            assert!(!is_common(other), "{other}");
        }
    }
}
