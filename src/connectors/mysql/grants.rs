//! What an account may do, as `SHOW GRANTS` tells it, and the statements that let it do more.

use super::{
    connect::Session,
    definition,
    failure::Answer,
    text::{self, quote},
};
use crate::model::{Finding, Severity, TableName};
use std::collections::BTreeSet;

/// Everything that is granted, roles that are in force included: the server shows what they give as the account's.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Grants {
    granted: Vec<Grant>,
    /// MySQL can take back for one database what is granted for all.
    revoked: Vec<Grant>,
}

#[derive(Debug, PartialEq)]
struct Grant {
    privileges: Vec<String>,
    /// A pattern; `None`: every database.
    schema: Option<String>,
    /// `None`: every table.
    table: Option<String>,
}

impl Grants {
    pub fn read<'l>(lines: impl Iterator<Item = &'l str>) -> Grants {
        let mut grants = Grants::default();
        for line in lines {
            if let Some(grant) = line.strip_prefix("GRANT ").and_then(grant) {
                grants.granted.push(grant);
            } else if let Some(grant) = line.strip_prefix("REVOKE ").and_then(grant) {
                grants.revoked.push(grant);
            }
        }
        grants
    }

    /// Whether a table may be used that way; one that is not there yet, too.
    pub fn allow(&self, privilege: &str, schema: &str, table: &str) -> bool {
        let covers = |grant: &&Grant| {
            grant.gives(privilege)
                && grant.schema.as_deref().is_none_or(|pattern| is_like(schema, pattern))
                && grant.table.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(table))
        };
        let revoked = self.revoked.iter().any(|grant| covers(&grant));
        self.granted.iter().filter(covers).any(|grant| grant.schema.is_some() || !revoked)
    }
}

/// What the account that asks may do.
pub(super) async fn own(session: &mut Session) -> Answer<Grants> {
    let rows = session.rows("SHOW GRANTS").await?;
    let lines: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    Ok(Grants::read(lines.iter().map(String::as_str)))
}

/// Of databases in which tables are granted one by one: of the others the catalogue does not say a word.
pub(super) async fn partial(session: &mut Session, schemas: &BTreeSet<&str>) -> Answer<Vec<Finding>> {
    let grants = own(session).await?;
    // No table has this name: only what holds for all of them counts.
    let partial: Vec<&str> = schemas.iter().copied().filter(|schema| !grants.allow("SELECT", schema, "")).collect();
    if partial.is_empty() {
        return Ok(Vec::new());
    }
    let account = account(session).await?;
    let finding = |schema: &str| {
        let text = format!(
            "the account {account} sees only what is granted to it table by table: tables of `{schema}` that it has no \
             grant for are not seen, and no glob finds them"
        );
        let finding = Finding::new(Severity::Warning, format!("{schema}.*"), text);
        finding.mend(format!("GRANT SELECT ON {} TO {account}", database(schema)))
    };
    Ok(partial.into_iter().map(finding).collect())
}

impl Grant {
    fn gives(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|granted| granted == privilege || granted == "ALL PRIVILEGES" || granted == "ALL")
    }
}

/// `SELECT (`a`), INSERT ON `db`.* TO …`: what is granted for single columns is not enough for us.
fn grant(rest: &str) -> Option<Grant> {
    let words = definition::words(rest);
    let on = words.iter().position(|word| *word == "ON")?;
    let mut privileges: Vec<String> = vec![String::new()];
    for word in &words[..on] {
        let last = privileges.last_mut().expect("there is one");
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word.trim_end_matches(',').to_ascii_uppercase().as_str());
        if word.ends_with(',') {
            privileges.push(String::new());
        }
    }
    let (schema, table) = parts(words.get(on + 1)?)?;
    Some(Grant { privileges, schema, table })
}

/// `*.*`, `` `a\_b`.* ``, `` `a`.`t` ``; `None`: no table (a routine, an account).
fn parts(object: &str) -> Option<(Option<String>, Option<String>)> {
    let named = |text: &str| text.trim_matches('`').replace("``", "`");
    if object == "*.*" {
        return Some((None, None));
    }
    if let Some(schema) = object.strip_suffix(".*") {
        return Some((Some(named(schema)), None));
    }
    let (schema, table) = object.split_once("`.`")?;
    Some((Some(named(schema)), Some(named(table))))
}

/// By `_` and `%`, which a backslash takes for themselves.
fn is_like(name: &str, pattern: &str) -> bool {
    fn like(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skipped| like(&name[skipped..], rest)),
            ['_', rest @ ..] => !name.is_empty() && like(&name[1..], rest),
            ['\\', same, rest @ ..] | [same, rest @ ..] => {
                name.first().is_some_and(|first| first.eq_ignore_ascii_case(same)) && like(&name[1..], rest)
            }
        }
    }
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    like(&chars(name), &chars(pattern))
}

/// The account that grants are given to, which is not always spelled as the one that connects.
pub(super) async fn account(session: &mut Session) -> Answer<String> {
    let account = session.value("SELECT CURRENT_USER()").await?.unwrap_or_default();
    Ok(account.rsplit_once('@').map_or_else(|| account.clone(), |(user, host)| format!("'{user}'@'{host}'")))
}

/// The statement that lets us read a table.
pub(super) async fn to_read(session: &mut Session, table: &TableName) -> Answer<String> {
    Ok(format!("GRANT SELECT ON {} TO {}", text::table(table), account(session).await?))
}

/// The object of a `GRANT` that means this database and no other.
pub(super) fn database(name: &str) -> String {
    format!("{}.*", quote(&name.replace('_', "\\_").replace('%', "\\%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_where() {
        let grants = Grants::read(
            [
                "GRANT USAGE ON *.* TO `p`@`%`",
                "GRANT SELECT, INSERT, CREATE TEMPORARY TABLES ON `sh\\_p`.* TO `p`@`%`",
                "GRANT SELECT (`id`), UPDATE ON `other`.`t` TO `p`@`%`",
                "GRANT EXECUTE ON PROCEDURE `sh_p`.`f` TO `p`@`%`",
                "GRANT `role`@`%` TO `p`@`%`",
                "GRANT PROXY ON ''@'' TO 'p'@'%'",
            ]
            .into_iter(),
        );
        assert!(grants.allow("SELECT", "sh_p", "t") && grants.allow("INSERT", "sh_p", "new"));
        assert!(!grants.allow("SELECT", "shop", "t") && !grants.allow("CREATE", "sh_p", "t"));
        assert!(grants.allow("UPDATE", "other", "t") && !grants.allow("UPDATE", "other", "u"));
        assert!(!grants.allow("SELECT", "other", "t"), "one column is not a row");
        let all = ["GRANT ALL PRIVILEGES ON *.* TO 'p'@'%'", "REVOKE INSERT ON `kept`.* FROM `p`@`%`"];
        let all = Grants::read(all.into_iter());
        assert!(all.allow("ALTER", "any", "t") && all.allow("SELECT", "kept", "t"));
        assert!(!all.allow("INSERT", "kept", "t"));
        assert!(is_like("shop_1", "shop%") && !is_like("shop", "shop_") && is_like("a%", "a\\%"));
        assert_eq!(database("a_b"), "`a\\_b`.*");
    }
}
