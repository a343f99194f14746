//! Points in a source's log, opaque to everybody but their source.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

/// An independently ordered part of a feed: the whole log, a node, a shard, a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Partition(pub Arc<str>);

impl Partition {
    /// The partition of sources that have one.
    pub const ONLY: &'static str = "log";
    /// The feed of table copies: there a lane is a connection, and the position names range and key.
    pub const COPY: &'static str = "copy";

    pub fn new(name: &str) -> Self {
        Partition(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Partition {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A point in one partition, with the source's identity inside. Only its source can order two of them.
///
/// ```text
/// version u8 (1) · the source's bytes · ordinal u64 big-endian
/// ```
/// The ordinal counts mutations inside the transaction that follows the point; 0 is the transaction boundary itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position(Arc<[u8]>);

impl Position {
    pub const VERSION: u8 = 1;

    pub fn new(point: &[u8], ordinal: u64) -> Self {
        let mut bytes = Vec::with_capacity(point.len() + 9);
        bytes.push(Self::VERSION);
        bytes.extend_from_slice(point);
        bytes.extend_from_slice(&ordinal.to_be_bytes());
        Position(bytes.into())
    }

    /// Reads what `bytes` gave; `None` for another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= 9 && bytes[0] == Self::VERSION).then(|| Position(bytes.into()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The source's own bytes.
    pub fn point(&self) -> &[u8] {
        &self.0[1..self.0.len() - 8]
    }

    pub fn ordinal(&self) -> u64 {
        u64::from_be_bytes(self.0[self.0.len() - 8..].try_into().expect("eight bytes"))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String =
            self.point().iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
        match self.ordinal() {
            0 => write!(f, "{shown}"),
            ordinal => write!(f, "{shown}+{ordinal}"),
        }
    }
}

/// Partition → position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint(pub BTreeMap<Partition, Position>);

impl Checkpoint {
    /// Of a source with one partition.
    pub fn only(position: Position) -> Self {
        Checkpoint([(Partition::new(Partition::ONLY), position)].into())
    }

    pub fn get(&self, partition: &Partition) -> Option<&Position> {
        self.0.get(partition)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn set(&mut self, partition: &Partition, position: Position) {
        match self.0.get_mut(partition) {
            Some(known) => *known = position,
            None => drop(self.0.insert(partition.clone(), position)),
        }
    }
}

/// "Everything committed until now": a goal that a feed of the same source can say it has passed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark(#[serde(with = "hex")] pub Vec<u8>);

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(self.bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex::deserialize(deserializer)?;
        Position::from_bytes(&bytes).ok_or_else(|| de::Error::custom("a position of another version"))
    }
}

/// Bytes as hexadecimal text in state records that people read.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = String::with_capacity(bytes.len() * 2);
        bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes it"));
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes();
        if digits.len() % 2 != 0 {
            return Err(de::Error::custom("odd number of hexadecimal digits"));
        }
        digits
            .chunks(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).map_err(de::Error::custom)?;
                u8::from_str_radix(pair, 16).map_err(de::Error::custom)
            })
            .collect()
    }
}
