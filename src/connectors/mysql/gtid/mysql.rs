//! MySQL: sets of numbers by server and tag, `uuid:1-5:7:tag:1-2`. Numbers of one server may have holes.

use super::{put_varint, take, take_varint};
use std::{cmp::Ordering, collections::BTreeMap, fmt, str::FromStr};
use uuid::Uuid;

/// Who numbers: a server, and since 8.3 a tag of the session's choice (empty: none).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Origin {
    pub server: Uuid,
    pub tag: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct MysqlGtid {
    pub origin: Origin,
    pub number: u64,
}

impl fmt::Display for MysqlGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.tag.as_str() {
            "" => write!(f, "{}:{}", self.origin.server, self.number),
            tag => write!(f, "{}:{tag}:{}", self.origin.server, self.number),
        }
    }
}

/// Half-open intervals, sorted, never touching each other: one form for one set.
type Intervals = Vec<(u64, u64)>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct GtidSet(BTreeMap<Origin, Intervals>);

impl GtidSet {
    pub fn has(&self, gtid: &MysqlGtid) -> bool {
        self.0.get(&gtid.origin).is_some_and(|intervals| covers(intervals, (gtid.number, gtid.number + 1)))
    }

    pub fn contains(&self, other: &GtidSet) -> bool {
        other.0.iter().all(|(origin, intervals)| {
            let own = self.0.get(origin).map_or(&[][..], Vec::as_slice);
            intervals.iter().all(|&interval| covers(own, interval))
        })
    }

    /// Of whom it has transactions.
    pub fn servers(&self) -> impl Iterator<Item = Uuid> {
        self.0.keys().map(|origin| origin.server)
    }

    /// The last of this server, where no tag is chosen; of a server that wrote none itself, one of another's.
    pub fn newest(&self, server: Uuid) -> Option<MysqlGtid> {
        let own = Origin { server, tag: String::new() };
        let (origin, intervals) = self.0.get_key_value(&own).or_else(|| self.0.iter().next())?;
        Some(MysqlGtid { origin: origin.clone(), number: intervals.last()?.1 - 1 })
    }

    /// As texts, one for each server and tag.
    pub fn parts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(origin, intervals)| GtidSet([(origin.clone(), intervals.clone())].into()).to_string())
    }

    /// `None`: each has something that the other lacks.
    pub fn compare(&self, other: &GtidSet) -> Option<Ordering> {
        match (self.contains(other), other.contains(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }

    pub fn add(&mut self, gtid: &MysqlGtid) {
        match self.0.get_mut(&gtid.origin) {
            Some(intervals) => add(intervals, (gtid.number, gtid.number + 1)),
            None => drop(self.0.insert(gtid.origin.clone(), vec![(gtid.number, gtid.number + 1)])),
        }
    }

    pub fn union(&mut self, other: &GtidSet) {
        for (origin, intervals) in &other.0 {
            let own = self.0.entry(origin.clone()).or_default();
            intervals.iter().for_each(|&interval| add(own, interval));
        }
    }

    /// Takes away what is in `other`.
    pub fn subtract(&mut self, other: &GtidSet) {
        for (origin, minus) in &other.0 {
            let Some(own) = self.0.get_mut(origin) else { continue };
            for &(from, to) in minus {
                let parts = own.iter().flat_map(|&(start, end)| [(start, end.min(from)), (start.max(to), end)]);
                *own = parts.filter(|(start, end)| start < end).collect();
            }
        }
        self.0.retain(|_, intervals| !intervals.is_empty());
    }

    /// ```text
    /// count · (server 16 bytes · tag length · tag · count · (gap · length)*)*      varints
    /// ```
    /// Servers in the order of their bytes, tags in theirs; each interval tells how far after the last it starts.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        put_varint(bytes, self.0.len() as u64);
        for (origin, intervals) in &self.0 {
            bytes.extend_from_slice(origin.server.as_bytes());
            put_varint(bytes, origin.tag.len() as u64);
            bytes.extend_from_slice(origin.tag.as_bytes());
            put_varint(bytes, intervals.len() as u64);
            let mut last = 0;
            for &(start, end) in intervals {
                put_varint(bytes, start - last);
                put_varint(bytes, end - start);
                last = end;
            }
        }
    }

    pub fn read(bytes: &mut &[u8]) -> Option<GtidSet> {
        let count = take_varint(bytes)?;
        let mut set = GtidSet::default();
        for _ in 0..count {
            let server = Uuid::from_slice(take(bytes, 16)?).ok()?;
            let length = usize::try_from(take_varint(bytes)?).ok()?;
            let tag = std::str::from_utf8(take(bytes, length)?).ok()?.to_owned();
            let (mut intervals, mut last) = (Vec::new(), 0_u64);
            for _ in 0..take_varint(bytes)? {
                let gap = take_varint(bytes)?;
                let start = last.checked_add(gap).filter(|_| gap > 0)?;
                let end = start.checked_add(take_varint(bytes)?).filter(|&end| end > start)?;
                intervals.push((start, end));
                last = end;
            }
            let origin = Origin { server, tag };
            if intervals.is_empty() || set.0.last_key_value().is_some_and(|(last, _)| *last >= origin) {
                return None;
            }
            set.0.insert(origin, intervals);
        }
        Some(set)
    }

    /// As the server keeps it at the head of each log (PREVIOUS_GTIDS) and wants it in `COM_BINLOG_DUMP_GTID`: count of
    /// servers in eight bytes, of which with tags the first and the last are 1, and the count is between them.
    pub fn from_log(mut body: &[u8]) -> Option<GtidSet> {
        let body = &mut body;
        let number = |body: &mut &[u8]| Some(u64::from_le_bytes(take(body, 8)?.try_into().ok()?));
        let head = number(body)?;
        let tagged = head >> 56 == 1;
        let count = if tagged { (head >> 8) & 0xffff_ffff_ffff } else { head };
        let mut set = GtidSet::default();
        for _ in 0..count {
            let server = Uuid::from_slice(take(body, 16)?).ok()?;
            let tag = match tagged {
                true => {
                    let length = take_packed(body)?;
                    std::str::from_utf8(take(body, usize::try_from(length).ok()?)?).ok()?.to_owned()
                }
                false => String::new(),
            };
            let own = set.0.entry(Origin { server, tag }).or_default();
            for _ in 0..number(body)? {
                let (start, end) = (number(body)?, number(body)?);
                if start == 0 || start >= end {
                    return None;
                }
                add(own, (start, end));
            }
        }
        set.0.retain(|_, intervals| !intervals.is_empty());
        Some(set)
    }
}

/// An integer as MySQL's serialization library writes it: as many low one bits as there are bytes after the first.
pub(in super::super) fn take_packed(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let more = first.trailing_ones() as usize;
    let raw = take(bytes, 1 + more)?;
    let mut wide = [0; 16];
    wide[..raw.len()].copy_from_slice(raw);
    let shift = if more >= 8 { 8 } else { more + 1 };
    u64::try_from(u128::from_le_bytes(wide) >> shift).ok()
}

fn covers(intervals: &[(u64, u64)], (from, to): (u64, u64)) -> bool {
    let after = intervals.partition_point(|&(start, _)| start <= from);
    after.checked_sub(1).is_some_and(|at| intervals[at].1 >= to)
}

fn add(intervals: &mut Intervals, (mut from, mut to): (u64, u64)) {
    // The newest number continues the last interval: by far the most common.
    if let Some(last) = intervals.last_mut()
        && last.0 <= from
        && from <= last.1
    {
        last.1 = last.1.max(to);
        return;
    }
    let first = intervals.partition_point(|&(_, end)| end < from);
    let after = intervals.partition_point(|&(start, _)| start <= to);
    if first < after {
        from = from.min(intervals[first].0);
        to = to.max(intervals[after - 1].1);
    }
    intervals.splice(first..after, [(from, to)]);
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last: Option<&Origin> = None;
        for (origin, intervals) in &self.0 {
            match last {
                Some(last) if last.server == origin.server => {}
                Some(_) => write!(f, ",{}", origin.server)?,
                None => write!(f, "{}", origin.server)?,
            }
            if !origin.tag.is_empty() {
                write!(f, ":{}", origin.tag)?;
            }
            for &(start, end) in intervals {
                match end - start {
                    1 => write!(f, ":{start}")?,
                    _ => write!(f, ":{start}-{}", end - 1)?,
                }
            }
            last = Some(origin);
        }
        Ok(())
    }
}

/// As the server's variables show it, line breaks included.
impl FromStr for GtidSet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut set = GtidSet::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut words = part.split(':').map(str::trim);
            let server = words.next().and_then(|word| Uuid::parse_str(word).ok()).ok_or(())?;
            let mut origin = Origin { server, tag: String::new() };
            for word in words {
                if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    origin.tag = word.to_ascii_lowercase();
                    continue;
                }
                let (from, to) = word.split_once('-').unwrap_or((word, word));
                let (from, to): (u64, u64) = (from.parse().map_err(drop)?, to.parse().map_err(drop)?);
                if from == 0 || to < from || to == u64::MAX {
                    return Err(());
                }
                add(set.0.entry(origin.clone()).or_default(), (from, to + 1));
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        text.parse().expect("a set")
    }

    #[test]
    fn sets_are_read_written_and_compared() {
        let text = format!("{A}:1-5:7:tagx:1-2,{B}:9-10");
        let whole = set(&format!("{B}:9,\n{A}:4-5:1-3:7:TAGX:1-2,{B}:10"));
        assert_eq!(whole.to_string(), text);
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        assert_eq!(GtidSet::read(&mut bytes.as_slice()), Some(whole.clone()));
        assert!((0..bytes.len()).all(|cut| GtidSet::read(&mut &bytes[..cut]).is_none()));
        assert_eq!(set(&format!("{A}:1-4")).compare(&whole), Some(Ordering::Less));
        assert_eq!(set(&format!("{A}:6")).compare(&whole), None);
        assert_eq!(set(&format!("{A}:tagx:3")).compare(&whole), None, "a tag has numbers of its own");
        let mut less = whole.clone();
        less.subtract(&set(&format!("{A}:2-3:tagx:1-2")));
        assert_eq!(less.to_string(), format!("{A}:1:4-5:7,{B}:9-10"));
        less.union(&set(&format!("{A}:2-3:6:tagx:1-2")));
        assert_eq!(less.to_string(), format!("{A}:1-7:tagx:1-2,{B}:9-10"));
        assert!("nobody:1".parse::<GtidSet>().is_err());
        assert!(format!("{A}:5-1").parse::<GtidSet>().is_err());
    }

    #[test]
    fn integers_of_the_serialization_library() {
        assert_eq!(take_packed(&mut [0b0000_0110].as_slice()), Some(3));
        assert_eq!(take_packed(&mut [0b0000_0001, 0b0000_0010].as_slice()), Some(0x0200 >> 2));
        let mut widest = vec![0xff];
        widest.extend(u64::MAX.to_le_bytes());
        assert_eq!(take_packed(&mut widest.as_slice()), Some(u64::MAX));
        assert_eq!(take_packed(&mut [0xff, 1].as_slice()), None);
    }

    proptest! {
        #[test]
        fn intervals_are_a_set_of_numbers(numbers in prop::collection::vec((1_u64..40, 1_u64..6), 0..12),
                                          minus in prop::collection::vec((1_u64..40, 1_u64..6), 0..6)) {
            let origin = Origin { server: Uuid::parse_str(A).expect("one"), tag: String::new() };
            let of = |parts: &[(u64, u64)]| {
                let mut all = GtidSet::default();
                let mut plain = BTreeSet::new();
                for &(from, length) in parts {
                    for number in from..from + length {
                        all.add(&MysqlGtid { origin: origin.clone(), number });
                        plain.insert(number);
                    }
                }
                (all, plain)
            };
            let ((mut all, mut plain), (less, gone)) = (of(&numbers), of(&minus));
            prop_assert_eq!(all.contains(&less), plain.is_superset(&gone));
            all.subtract(&less);
            plain.retain(|number| !gone.contains(number));
            for number in 1..50 {
                prop_assert_eq!(all.has(&MysqlGtid { origin: origin.clone(), number }), plain.contains(&number));
            }
            prop_assert_eq!(all.to_string().parse::<GtidSet>(), Ok(all.clone()));
            prop_assert!(all.0.values().all(|own| own.windows(2).all(|two| two[0].1 < two[1].0)), "one form");
        }
    }
}
