//! Which server this is: family, version, identity, and what differs between them.

use crate::faults::{self, Saboteur};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Mysql,
    Mariadb,
}

impl Family {
    /// By what `Table::family` says; `None`: neither of the two.
    pub fn named(name: &str) -> Option<Family> {
        [Family::Mysql, Family::Mariadb].into_iter().find(|family| family.name() == name)
    }

    /// As `Table::family` names it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Mysql => "mysql",
            Family::Mariadb => "mariadb",
        }
    }
}

/// What a server said of itself when a connection was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub family: Family,
    /// 10.11.19 as (10, 11, 19).
    pub version: (u16, u16, u16),
    /// Not the process: what stays over its restarts, and is another's on a copy of it.
    pub identity: String,
    pub server_id: u32,
    /// Table names are kept in lower case, or compared without it.
    pub folds_names: bool,
}

/// Asks for what `Server::read` takes. In this order, one row; `@@server_uuid` is MySQL's alone.
pub(super) const ASK: &str = "SELECT VERSION(), @@version_comment, @@server_id, @@hostname, @@port, \
                              @@lower_case_table_names, @@datadir";

/// Whether this answer is of a server that has `@@server_uuid`.
pub(super) fn has_uuid(answer: &[String]) -> bool {
    matches!(answer, [version, comment, ..] if family(version, comment) == Family::Mysql)
}

impl Server {
    /// `uuid`: MySQL's own; MariaDB has none.
    pub fn read(answer: &[String], uuid: Option<String>) -> Option<Server> {
        let [version, comment, server_id, host, port, folds, folder] = answer else { return None };
        let family = family(version, comment);
        // MariaDB has no identity of its own: two servers on one host differ by port and folder, a copy by host or
        // number. That it is not an older state of the same server is for positions to prove.
        let identity = match (&uuid, family) {
            (Some(uuid), Family::Mysql) => uuid.clone(),
            _ => format!("{server_id}@{host}:{port}{folder}"),
        };
        Some(Server {
            family,
            version: numbers(version),
            identity,
            server_id: server_id.parse().ok()?,
            folds_names: folds != "0",
        })
    }

    pub fn is_mariadb(&self) -> bool {
        self.family == Family::Mariadb
    }

    pub fn at_least(&self, family: Family, version: (u16, u16, u16)) -> bool {
        self.family == family && self.version >= version
    }

    /// Settings of every session of ours, one statement. Text comes as the bytes of its column (we decode them as those
    /// of the log); times are UTC; statements take as long as they take.
    pub fn session(&self) -> String {
        let mut settings = vec![
            "NAMES utf8mb4".to_owned(),
            "character_set_results = NULL".to_owned(),
            match faults::on(Saboteur::ServerZoneTrusted) {
                true => "time_zone = DEFAULT".to_owned(),
                false => "time_zone = '+00:00'".to_owned(),
            },
            match faults::on(Saboteur::ZeroMakesANumber) {
                true => format!("sql_mode = '{}'", SQL_MODE.replace("NO_AUTO_VALUE_ON_ZERO,", "")),
                false => format!("sql_mode = '{SQL_MODE}'"),
            },
            "sql_auto_is_null = 0".to_owned(),
            "sql_big_selects = 1".to_owned(),
            "sql_quote_show_create = 1".to_owned(),
            "sql_select_limit = DEFAULT".to_owned(),
            "net_write_timeout = 3600".to_owned(),
            "net_read_timeout = 3600".to_owned(),
            "wait_timeout = 28800".to_owned(),
        ];
        if self.is_mariadb() {
            settings.push("max_statement_time = 0".to_owned());
        } else if self.version >= (5, 7, 8) {
            settings.push("max_execution_time = 0".to_owned());
        }
        if self.at_least(Family::Mysql, (8, 0, 0)) {
            // Catalogue answers that are a day old are of no use to us.
            settings.push("information_schema_stats_expiry = 0".to_owned());
        }
        if self.at_least(Family::Mysql, (8, 0, 30)) {
            // Keys that the server makes by itself are in its log.
            settings.push("show_gipk_in_create_table_and_information_schema = ON".to_owned());
        }
        format!("SET {}", settings.join(", "))
    }
}

/// Strict, so that nothing is cut or bent on its way in; dates as applications have stored them; 0 is a key like others; a
/// column that divides by 0 is NULL, as where it was computed first.
pub(super) const SQL_MODE: &str = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION";

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, (major, minor, patch)) = (if self.is_mariadb() { "MariaDB" } else { "MySQL" }, self.version);
        write!(f, "{name} {major}.{minor}.{patch}")
    }
}

fn family(version: &str, comment: &str) -> Family {
    let says = |text: &str| text.to_ascii_lowercase().contains("mariadb");
    if says(version) || says(comment) { Family::Mariadb } else { Family::Mysql }
}

/// MariaDB may put `5.5.5-` in front, for old replicas.
fn numbers(version: &str) -> (u16, u16, u16) {
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str, comment: &str, uuid: Option<&str>) -> Server {
        let answer = [version, comment, "7", "db1", "3306", "0", "/var/lib/mysql/"].map(str::to_owned);
        Server::read(&answer, uuid.map(str::to_owned)).unwrap()
    }

    #[test]
    fn tells_the_families_apart() {
        let mariadb = server("10.11.19-MariaDB-0+deb12u1-log", "Debian 12", None);
        assert_eq!((mariadb.family, mariadb.version), (Family::Mariadb, (10, 11, 19)));
        assert_eq!(mariadb.identity, "7@db1:3306/var/lib/mysql/");
        assert_eq!(server("5.5.5-10.4.2-MariaDB", "", None).version, (10, 4, 2));
        let mysql = server("9.7.4-2", "(Debian)", Some("3e11fa47-71ca-11e1-9e33-c80aa9429562"));
        assert_eq!((mysql.family, mysql.version), (Family::Mysql, (9, 7, 4)));
        assert!(mysql.identity.starts_with("3e11fa47"));
        assert_eq!(mysql.to_string(), "MySQL 9.7.4");
    }
}
