//! Positions: their bytes for ever, and their order.

use super::*;
use crate::error::ErrorKind;
use std::fmt::Write;

const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

fn maria(at: &str, since: &str) -> Point {
    let reach = |text: &str| Reach::Maria(text.parse().expect("a list"));
    let of = at.split(',').next_back().expect("one").parse().map(Gtid::Maria);
    let proof = of.ok().map(|of| Proof { of, time: Time::Began(1_795_000_000) });
    Point { at: reach(at), since: reach(since), proof, seen: None, shapes: None }
}

fn mysql(at: &str, since: &str) -> Point {
    let reach = |text: &str| Reach::Mysql(format!("{SERVER}:{text}").parse().expect("a set"));
    let origin = Origin { server: SERVER.parse().expect("a uuid"), tag: "x".into() };
    let proof = Proof { of: Gtid::Mysql(MysqlGtid { origin, number: 3 }), time: Time::Began(1) };
    Point { at: reach(at), since: reach(since), proof: Some(proof), seen: None, shapes: None }
}

fn file(name: &str, byte: u64) -> Point {
    let server = SERVER.parse().expect("a uuid");
    let at = Reach::File(File { server, name: name.into(), byte });
    let since = Reach::File(File { server, name: name.into(), byte: byte - 4 });
    Point { at, since, proof: Some(Proof { of: Gtid::Byte(byte - 4), time: Time::Began(7) }), seen: None, shapes: None }
}

#[test]
fn the_bytes_of_a_position_are_kept_for_ever() {
    let mut text = String::new();
    let first = maria("0-1-5", "0-1-4").proof.map(|proof| Proof { time: Time::First(1_795_000_000), ..proof });
    let points = [
        ("empty list", Point::plain(Reach::Maria(Domains::default()))),
        ("list", maria("0-1-100,3-7-18446744073709551615", "0-1-100,3-7-9")),
        ("list, a new domain", maria("0-1-100,3-7-1", "0-1-99")),
        ("set", mysql("1-5:9-1000000:x:1-3", "1-5:9-1000000:x:1-2")),
        ("fetched for", Point { seen: Some(maria("0-1-9", "").at), ..maria("0-1-5", "0-1-4") }),
        ("file", file("binlog.000009", 5_000_000_000)),
        ("shapes", Point { shapes: Some(0x0102_0304_0506_0708), ..maria("0-1-5", "0-1-4") }),
        (
            "fetched for, shapes",
            Point { seen: Some(maria("0-1-9", "").at), shapes: Some(9), ..maria("0-1-5", "0-1-4") },
        ),
        ("by its first event", Point { proof: first, ..maria("0-1-5", "0-1-4") }),
    ];
    for (name, point) in points {
        let position = point.position(u64::from(name.len() as u32 % 2) * 0x0001_0002);
        assert_eq!(Point::read(&position).expect("its own"), point, "{name}");
        let bytes = position.point();
        assert!((0..bytes.len()).all(|cut| Point::parse(&bytes[..cut]).is_none()), "{name} cut short");
        writeln!(text, "{name}: {} at {} since {}", position.ordinal(), point.at, point.since).expect("a string");
        let hex = position.bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        writeln!(text, "  position {hex}").expect("a string");
        let hex = point.at.mark().0.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        writeln!(text, "  mark {hex}").expect("a string");
    }
    let path = format!("{}/tests/data/golden/mysql-positions-v1.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("WHIMBREL_GOLDEN").is_ok_and(|value| value == "write") && std::fs::metadata(&path).is_err() {
        std::fs::write(&path, &text).expect("ours");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("kept"), text, "what is on users' disks can no longer be read");
}

#[test]
fn positions_are_ordered_or_of_two_histories() {
    let order = |a: &Point, b: &Point| order(&a.position(0), &b.position(0));
    let early = maria("0-1-5", "0-1-5");
    assert_eq!(order(&early, &maria("0-2-7", "0-1-5")).expect("one history"), Ordering::Less);
    assert_eq!(super::order(&early.position(3), &early.position(2)).expect("one"), Ordering::Greater);
    let names = |a: &str, b: &str| order(&file(a, 9), &file(b, 5)).expect("one server");
    assert_eq!(names("binlog.999999", "binlog.1000000"), Ordering::Less);
    assert_eq!(names("binlog.000002", "binlog.000002"), Ordering::Greater);
    for (a, b) in [
        (maria("0-1-5,1-1-1", ""), maria("0-1-6", "")),
        (early.clone(), mysql("1", "1")),
        (file("binlog.000002", 9), file("other.000002", 9)),
    ] {
        assert_eq!(order(&a, &b).expect_err("two histories").kind(), ErrorKind::Lost);
    }
    let elsewhere = Position::new(b"elsewhere", 0);
    assert_eq!(Point::read(&elsewhere).expect_err("not ours").kind(), ErrorKind::Lost);
}

#[test]
fn a_mark_is_passed_by_what_contains_it() {
    let mark = maria("0-1-5", "").at.mark();
    assert!(maria("0-1-5,1-1-1", "").at.has_passed(&mark));
    assert!(!maria("0-1-4,1-1-1", "").at.has_passed(&mark));
    assert!(!mysql("1-5", "1").at.has_passed(&mark));
    assert!(!maria("0-1-9", "").at.has_passed(&Mark(vec![1, 200])));
}
