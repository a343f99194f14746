//! MariaDB: per replication domain the last transaction, `domain-server-number`. Within a domain numbers only grow.

use super::{put_varint, take, take_varint};
use std::{cmp::Ordering, collections::BTreeMap, fmt, str::FromStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct MariaGtid {
    pub domain: u32,
    /// Where it was written first; a replica keeps it.
    pub server: u32,
    pub number: u64,
}

impl fmt::Display for MariaGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.number)
    }
}

impl FromStr for MariaGtid {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.trim().split('-');
        let (domain, server, number) = (parts.next(), parts.next(), parts.next());
        let (Some(domain), Some(server), Some(number), None) = (domain, server, number, parts.next()) else {
            return Err(());
        };
        Ok(MariaGtid {
            domain: domain.parse().map_err(drop)?,
            server: server.parse().map_err(drop)?,
            number: number.parse().map_err(drop)?,
        })
    }
}

/// Everything up to and with one transaction of each domain; of a domain that is not named, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Domains(BTreeMap<u32, (u32, u64)>);

impl Domains {
    pub fn get(&self, domain: u32) -> Option<MariaGtid> {
        self.0.get(&domain).map(|&(server, number)| MariaGtid { domain, server, number })
    }

    pub fn set(&mut self, gtid: MariaGtid) {
        self.0.insert(gtid.domain, (gtid.server, gtid.number));
    }

    pub fn remove(&mut self, domain: u32) {
        self.0.remove(&domain);
    }

    pub fn iter(&self) -> impl Iterator<Item = MariaGtid> {
        self.0.iter().map(|(&domain, &(server, number))| MariaGtid { domain, server, number })
    }

    /// Whether the transaction is among them. Which server wrote it does not count: numbers of a domain only grow.
    pub fn has(&self, gtid: MariaGtid) -> bool {
        self.0.get(&gtid.domain).is_some_and(|&(_, number)| number >= gtid.number)
    }

    pub fn contains(&self, other: &Domains) -> bool {
        other.iter().all(|gtid| self.has(gtid))
    }

    /// `None`: each has something that the other lacks.
    pub fn compare(&self, other: &Domains) -> Option<Ordering> {
        match (self.contains(other), other.contains(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }

    /// ```text
    /// count · (domain step · server · number)*      varints; domains grow, so each is told as a step
    /// ```
    pub fn write(&self, bytes: &mut Vec<u8>) {
        put_varint(bytes, self.0.len() as u64);
        let mut last = 0;
        for gtid in self.iter() {
            put_varint(bytes, u64::from(gtid.domain - last));
            put_varint(bytes, u64::from(gtid.server));
            put_varint(bytes, gtid.number);
            last = gtid.domain;
        }
    }

    pub fn read(bytes: &mut &[u8]) -> Option<Domains> {
        let count = take_varint(bytes)?;
        let (mut domains, mut last) = (BTreeMap::new(), None);
        for _ in 0..count {
            let step = u32::try_from(take_varint(bytes)?).ok()?;
            let domain = last.unwrap_or(0_u32).checked_add(step).filter(|_| step > 0 || last.is_none())?;
            let server = u32::try_from(take_varint(bytes)?).ok()?;
            domains.insert(domain, (server, take_varint(bytes)?));
            last = Some(domain);
        }
        Some(Domains(domains))
    }

    /// The body of a GTID list in the log: count (28 bits, four of flags), then domain, server, number.
    pub fn from_log(mut body: &[u8]) -> Option<Domains> {
        let body = &mut body;
        let count = u32::from_le_bytes(take(body, 4)?.try_into().ok()?) & 0x0fff_ffff;
        let mut domains = Domains::default();
        for _ in 0..count {
            let domain = u32::from_le_bytes(take(body, 4)?.try_into().ok()?);
            let server = u32::from_le_bytes(take(body, 4)?.try_into().ok()?);
            let number = u64::from_le_bytes(take(body, 8)?.try_into().ok()?);
            let gtid = MariaGtid { domain, server, number };
            // One entry per server that ever wrote the domain, the newest last.
            if !domains.has(gtid) {
                domains.set(gtid);
            }
        }
        Some(domains)
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, gtid) in self.iter().enumerate() {
            write!(f, "{}{gtid}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// As the server's variables show it; of a domain named twice the higher number.
impl FromStr for Domains {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut domains = Domains::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let gtid: MariaGtid = part.parse()?;
            if !domains.has(gtid) {
                domains.set(gtid);
            }
        }
        Ok(domains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(text: &str) -> Domains {
        text.parse().expect("a list")
    }

    #[test]
    fn lists_are_read_written_and_compared() {
        let list = domains("1-7-40,0-1-100, 9-4294967295-18446744073709551615");
        assert_eq!(list.to_string(), "0-1-100,1-7-40,9-4294967295-18446744073709551615");
        let mut bytes = Vec::new();
        list.write(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(Domains::read(&mut rest), Some(list.clone()));
        assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            assert_eq!(Domains::read(&mut &bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(domains("0-1-5").compare(&domains("0-2-5,1-1-1")), Some(Ordering::Less));
        assert_eq!(domains("").compare(&domains("")), Some(Ordering::Equal));
        assert_eq!(domains("0-1-5,1-1-1").compare(&domains("0-1-6")), None, "each has what the other lacks");
        assert!("0-1".parse::<Domains>().is_err());
        assert!("x".parse::<Domains>().is_err());
    }

    #[test]
    fn a_list_of_the_log_is_read_to_the_newest_of_each_domain() {
        let mut body = 3_u32.to_le_bytes().to_vec();
        for (domain, server, number) in [(0_u32, 1_u32, 9_u64), (0, 2, 12), (4, 1, 1)] {
            body.extend(domain.to_le_bytes());
            body.extend(server.to_le_bytes());
            body.extend(number.to_le_bytes());
        }
        assert_eq!(Domains::from_log(&body), Some(domains("0-2-12,4-1-1")));
        assert!((0..body.len()).all(|cut| Domains::from_log(&body[..cut]).is_none()));
    }
}
