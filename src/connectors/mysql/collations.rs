//! How a column's texts are compared on a server that may not know the source's rules. Pure.

use super::server::{Family, Server};

/// A character set and a collation that a server has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Here {
    /// `CHARACTER SET x COLLATE y`
    pub words: String,
    /// What is not as at the source.
    pub loses: Option<&'static str>,
}

pub(super) const BY_BYTES: &str = "its texts are told apart by their bytes, since the server lacks the source's rules";
pub(super) const NEARLY: &str = "its texts are compared by the nearest rules that the server has";

/// `apart`: a key or a unique index depends on it, so that texts which differ at the source must differ here.
pub(super) fn here(charset: &str, own: &str, apart: bool, server: &Server) -> Here {
    let set = if charset == "gb18030" && !has_gb18030(server) { "utf8mb4" } else { charset };
    let set = spelled(set, server);
    let words = |collation: String| format!("CHARACTER SET {set} COLLATE {collation}");
    if own.is_empty() && set == spelled(charset, server) {
        return Here { words: format!("CHARACTER SET {set}"), loses: None };
    }
    if is_known(own, apart, server) {
        return Here { words: words(spelled(own, server)), loses: None };
    }
    let pads = !(own.contains("_nopad_") || own.contains("_0900_") || own == "binary");
    match (apart || own.ends_with("_bin"), set.as_str()) {
        (true, "utf8mb4") => Here { words: exact(server), loses: Some(BY_BYTES) },
        (true, _) if server.at_least(Family::Mariadb, (10, 2, 2)) => {
            Here { words: words(format!("{set}_nopad_bin")), loses: Some(BY_BYTES) }
        }
        // Takes spaces at the end for nothing, as the source's does.
        (true, _) if pads || server.version < (8, 0, 17) => {
            Here { words: words(format!("{set}_bin")), loses: Some(BY_BYTES) }
        }
        (true, _) => Here { words: exact(server), loses: Some(BY_BYTES) },
        (false, _) => Here { words: words(near(&set, own, server)), loses: Some(NEARLY) },
    }
}

/// Whether texts of different plain letters may be equal. As measured on servers (`tests/mysql/charsets.rs`).
pub(super) fn is_tailored(collation: &str) -> bool {
    const RULES: [&str; 7] =
        ["_lithuanian_", "_roman_", "_lt_0900_", "_lv_0900_", "_la_0900_", "_hu_0900_", "macce_general_"];
    RULES.iter().any(|rule| collation.contains(rule))
}

/// Tells all texts apart, spaces at the end too, where the server has such a collation.
pub(super) fn exact(server: &Server) -> String {
    let name = match server.family {
        Family::Mariadb if server.version >= (10, 2, 2) => "utf8mb4_nopad_bin",
        Family::Mysql if server.version >= (8, 0, 17) => "utf8mb4_0900_bin",
        _ => "utf8mb4_bin",
    };
    format!("CHARACTER SET utf8mb4 COLLATE {name}")
}

/// Whether texts that differ by `own` differ by `other`, too.
pub(super) fn is_as_fine(own: &str, other: &str) -> bool {
    let set = |name: &str| name.split('_').next().unwrap_or_default().replace("utf8mb3", "utf8");
    let pads = |name: &str| !(name.contains("_nopad_") || name.contains("_0900_"));
    let unified = |name: &str| name.replace("utf8mb3_", "utf8_");
    unified(own) == unified(other)
        || other.ends_with("_nopad_bin")
        || other == "utf8mb4_0900_bin"
        || (pads(own) && other.ends_with("_bin") && (set(own) == set(other) || other == "utf8mb4_bin"))
}

/// Bytes that `varchar(9) CHARACTER SET utf8mb4` may have, and those of one character. `None`: no text, or a long one.
pub(super) fn bytes(declared: &str) -> Option<(usize, usize)> {
    let characters: usize = declared.split_once("char(")?.1.split(')').next()?.parse().ok()?;
    let of_one = match declared.split_once("CHARACTER SET ")?.1.split(' ').next()? {
        "utf8mb4" | "utf16" | "utf16le" | "utf32" => 4,
        "utf8" | "utf8mb3" | "ujis" | "eucjpms" => 3,
        "ucs2" | "gbk" | "big5" | "sjis" | "cp932" | "euckr" | "gb2312" => 2,
        _ => 1,
    };
    Some((characters * of_one, of_one))
}

fn has_gb18030(server: &Server) -> bool {
    server.at_least(Family::Mysql, (5, 7, 4))
}

/// A word of a collation, and the first version that knows it.
type Since = (&'static str, (u16, u16, u16));

fn is_known(own: &str, apart: bool, server: &Server) -> bool {
    let has = |word: &&str| own.contains(*word);
    // Two rules of one name.
    if apart && has(&"_croatian") {
        return false;
    }
    let (never, since): (&[&str], &[Since]) = match server.family {
        Family::Mariadb => {
            (&["_0900_", "gb18030", "_tolower_ci"], &[("_nopad_", (10, 2, 2)), ("_uca1400_", (10, 10, 1))])
        }
        Family::Mysql => (
            &["_nopad_", "_uca1400_", "_mysql561_", "_myanmar_", "_thai_520_"],
            &[("_0900_", (8, 0, 17)), ("gb18030", (5, 7, 4))],
        ),
    };
    let is_older = |(word, version): &Since| has(word) && server.version < *version;
    !never.iter().any(has) && !since.iter().any(is_older)
}

/// `utf8mb3` has had two names.
pub(super) fn spelled(name: &str, server: &Server) -> String {
    let is_long = match server.family {
        Family::Mariadb => server.version >= (10, 6, 0),
        Family::Mysql => server.version >= (8, 0, 30),
    };
    let rest =
        name.strip_prefix("utf8mb3").or_else(|| name.strip_prefix("utf8").filter(|rest| !rest.starts_with("mb4")));
    match rest {
        Some(rest) if is_long => format!("utf8mb3{rest}"),
        Some(rest) => format!("utf8{rest}"),
        None => name.to_owned(),
    }
}

fn near(set: &str, own: &str, server: &Server) -> String {
    let ending = ["as_cs", "as_ci"].into_iter().find(|ending| own.ends_with(ending)).unwrap_or("ai_ci");
    let is_wide = ["utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf32"].contains(&set);
    match server.family {
        Family::Mariadb if set == "utf8mb4" && server.version >= (10, 10, 1) => {
            format!("utf8mb4_uca1400_nopad_{ending}")
        }
        Family::Mysql if set == "utf8mb4" && server.version >= (8, 0, 17) => format!("utf8mb4_0900_{ending}"),
        Family::Mysql if own.contains("_nopad_") && !own.contains("_uca1400_") => own.replace("_nopad_", "_"),
        _ if is_wide => format!("{set}_unicode_520_ci"),
        _ => format!("{set}_bin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(family: Family, version: (u16, u16, u16)) -> Server {
        Server { family, version, identity: String::new(), server_id: 1, folds_names: false }
    }

    #[test]
    fn names_of_one_server_on_another() {
        let (new, old) = (server(Family::Mysql, (9, 7, 4)), server(Family::Mysql, (5, 6, 24)));
        let mariadb = server(Family::Mariadb, (10, 11, 19));
        for (to, charset, own, apart, expected, is_told) in [
            (&mariadb, "utf8mb4", "utf8mb4_0900_ai_ci", true, "utf8mb4_nopad_bin", true),
            (&mariadb, "utf8mb4", "utf8mb4_0900_ai_ci", false, "utf8mb4_uca1400_nopad_ai_ci", true),
            (&mariadb, "utf8mb4", "utf8mb4_0900_as_cs", false, "utf8mb4_uca1400_nopad_as_cs", true),
            (&mariadb, "utf8mb4", "utf8mb4_0900_bin", false, "utf8mb4_nopad_bin", true),
            (&mariadb, "utf8mb4", "utf8mb4_unicode_520_ci", true, "utf8mb4_unicode_520_ci", false),
            (&mariadb, "utf8", "utf8_general_ci", true, "utf8mb3_general_ci", false),
            (&new, "utf8mb4", "utf8mb4_uca1400_ai_ci", false, "utf8mb4_0900_ai_ci", true),
            (&new, "utf8mb4", "utf8mb4_uca1400_ai_ci", true, "utf8mb4_0900_bin", true),
            (&new, "latin1", "latin1_swedish_nopad_ci", false, "latin1_swedish_ci", true),
            (&new, "latin1", "latin1_swedish_nopad_ci", true, "utf8mb4_0900_bin", true),
            (&new, "latin1", "latin1_german2_ci", true, "latin1_german2_ci", false),
            (&old, "utf8mb3", "utf8mb3_bin", true, "utf8_bin", false),
            (&old, "utf8mb4", "utf8mb4_0900_ai_ci", false, "utf8mb4_unicode_520_ci", true),
            (&old, "utf8mb4", "utf8mb4_0900_ai_ci", true, "utf8mb4_bin", true),
        ] {
            let here = here(charset, own, apart, to);
            assert!(here.words.ends_with(&format!(" COLLATE {expected}")), "{own} on {to}: {here:?}");
            assert_eq!(here.loses.is_some(), is_told, "{own} on {to}: {here:?}");
        }
    }

    #[test]
    fn finer_is_what_tells_as_much_apart() {
        assert!(is_as_fine("utf8_general_ci", "utf8mb3_general_ci") && is_as_fine("latin1_swedish_ci", "latin1_bin"));
        assert!(is_as_fine("utf8mb4_0900_ai_ci", "utf8mb4_nopad_bin"));
        assert!(!is_as_fine("utf8mb4_0900_ai_ci", "utf8mb4_bin"), "one of them takes 'a' and 'a ' for two");
        assert!(!is_as_fine("utf8mb4_bin", "utf8mb4_general_ci"));
    }
}
