//! Cuts a table into the ranges that the service proposes. Pure.

use super::{
    messages::table::{PrimaryKeySchema, SplitPointsResponse},
    plainbuffer::{Cell, Corrupt, Rows, Value, encode},
};
use bytes::Bytes;

/// From a key, which is in it, up to another, which is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Bytes,
    pub end: Bytes,
    /// Opaque; equal ones are on one node.
    pub location: Option<String>,
}

/// In ascending order, and together the whole table.
pub(super) fn ranges(answer: &SplitPointsResponse) -> Result<Vec<KeyRange>, Corrupt> {
    let schema = &answer.schema;
    if schema.is_empty() {
        return Err(Corrupt::new("split points come without the table's key"));
    }
    let edges = std::iter::once(Ok(edge(schema, &[], Value::InfMin)))
        .chain(answer.split_points.iter().map(|point| whole(schema, point)))
        .chain([Ok(edge(schema, &[], Value::InfMax))])
        .collect::<Result<Vec<Bytes>, _>>()?;
    // Only as many are made as there are ranges, whatever a count says.
    let places = answer.locations.iter();
    let mut locations = places.flat_map(|place| (0..place.repeat).map(|_| place.location.clone()));
    let range = |pair: &[Bytes]| KeyRange { start: pair[0].clone(), end: pair[1].clone(), location: locations.next() };
    Ok(edges.windows(2).map(range).collect())
}

/// A point may lack columns at its end: it is then before all keys that start so.
fn whole(schema: &[PrimaryKeySchema], point: &[u8]) -> Result<Bytes, Corrupt> {
    let key = Rows::one(point)?.key;
    let fits = key.len() <= schema.len() && key.iter().zip(schema).all(|(cell, column)| cell.name == column.name);
    match fits {
        true => Ok(edge(schema, &key, Value::InfMin)),
        false => Err(Corrupt::new("a split point is of another key than the table's")),
    }
}

fn edge(schema: &[PrimaryKeySchema], known: &[Cell<'_>], rest: Value<'_>) -> Bytes {
    let more = schema[known.len()..].iter().map(|column| Cell::put(&column.name, rest));
    let key: Vec<Cell<'_>> = known.iter().copied().chain(more).collect();
    encode::key(&key).into()
}

#[cfg(test)]
mod tests {
    use super::{super::messages::table::SplitLocation, *};

    fn answer(points: &[&[Cell<'_>]], locations: &[(&str, i64)]) -> SplitPointsResponse {
        let schema = ["gid", "uid"].map(|name| PrimaryKeySchema { name: name.into(), r#type: 1, option: None });
        let place = |(location, repeat): &(&str, i64)| SplitLocation { location: (*location).into(), repeat: *repeat };
        SplitPointsResponse {
            consumed: None,
            schema: schema.into(),
            split_points: points.iter().map(|point| encode::key(point).into()).collect(),
            locations: locations.iter().map(place).collect(),
        }
    }

    fn key(gid: Value<'_>, uid: Value<'_>) -> Bytes {
        encode::key(&[Cell::put("gid", gid), Cell::put("uid", uid)]).into()
    }

    #[test]
    fn points_make_one_range_more_and_lacking_columns_are_the_lowest() {
        let seven = [Cell::put("gid", Value::Integer(7))];
        let nine = [Cell::put("gid", Value::Integer(9)), Cell::put("uid", Value::Integer(1))];
        let ranges = ranges(&answer(&[&seven, &nine], &[("a", 2), ("b", i64::MAX)])).unwrap();
        let edges: Vec<Bytes> = ranges.iter().map(|range| range.start.clone()).collect();
        let low = key(Value::InfMin, Value::InfMin);
        let points = [low, key(Value::Integer(7), Value::InfMin), key(Value::Integer(9), Value::Integer(1))];
        assert_eq!(edges, points);
        assert_eq!(ranges[0].end, ranges[1].start);
        assert_eq!(ranges[2].end, key(Value::InfMax, Value::InfMax));
        let places: Vec<Option<&str>> = ranges.iter().map(|range| range.location.as_deref()).collect();
        assert_eq!(places, [Some("a"), Some("a"), Some("b")]);
    }

    #[test]
    fn a_table_that_is_not_split_is_one_range() {
        let ranges = ranges(&answer(&[], &[])).unwrap();
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges[0].location, None);
        assert!(super::ranges(&SplitPointsResponse::default()).is_err());
        let other = [Cell::put("pk", Value::Integer(7))];
        assert!(super::ranges(&answer(&[&other], &[])).is_err());
    }
}
