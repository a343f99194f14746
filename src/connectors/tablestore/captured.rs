//! What the official clients send, read by our messages and rows and written again; and ours beside theirs.

use super::{
    change::{self, Change},
    messages::{filter, row, stream, table, tunnel},
    pack,
    plainbuffer::{Cell, Reader, Row, Rows, Value, encode, golden::again},
    sign::{self, Credentials, Key, Scheme},
};
use bytes::Bytes;
use prost::Message;
use std::{fs, path::PathBuf};

/// One request, as it was taken from the socket.
pub struct Captured {
    /// `go-1.8.0/GetRow`.
    pub name: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub sent: Vec<u8>,
    /// Unpacked.
    pub body: Vec<u8>,
}

impl Captured {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

pub fn all() -> Vec<Captured> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tablestore/requests");
    let mut found = Vec::new();
    for folder in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let text = file.to_str().unwrap();
            if let Some(stem) = text.strip_suffix(".http-headers.txt") {
                let name = stem.rsplitn(3, '/').take(2).collect::<Vec<_>>();
                found.push(captured(
                    format!("{}/{}", name[1], name[0]),
                    &fs::read_to_string(&file).unwrap(),
                    fs::read(format!("{stem}.body.bin")).unwrap(),
                ));
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

pub fn one(name: &str) -> Captured {
    all().into_iter().find(|captured| captured.name == name).expect(name)
}

fn captured(name: String, head: &str, sent: Vec<u8>) -> Captured {
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut captured = Captured { name, path, headers, body: sent.clone(), sent };
    if let Some(length) = captured.header("x-ots-request-compress-size") {
        captured.body = pack::inflate(&captured.sent, length.parse().unwrap()).unwrap();
    }
    captured
}

#[test]
fn their_signatures_and_sums_are_ours() {
    let all = all();
    assert_eq!(all.len(), 125);
    for captured in &all {
        assert_eq!(captured.header("x-ots-contentmd5"), Some(pack::md5(&captured.sent).as_str()), "{}", captured.name);
        let credentials = Credentials { id: "ak".into(), secret: "sk".into(), sts_token: None };
        let scheme = match captured.header("x-ots-signregion") {
            Some(region) => Scheme::V4 { region: region.to_owned() },
            None => Scheme::V2,
        };
        let key = Key::new(&credentials, &scheme, captured.header("x-ots-signdate").unwrap_or_default());
        let headers: Vec<(&str, &str)> = captured.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let (name, signature) = key.request(&captured.path, &headers);
        assert_eq!(captured.header(name), Some(signature.as_str()), "{}", captured.name);
        assert!(name == sign::V2 || captured.name.contains("_v4"));
    }
}

#[test]
fn their_messages_are_read_and_written_again() {
    for captured in all() {
        let again = written_again(&captured.path, &captured.body);
        match captured.name.as_str() {
            // They hold a field that only that client knows.
            "go-1.8.0/tunnel_list"
            | "go-1.8.0/tunnel_list_v4"
            | "go-1.8.0/tunnel_describe"
            | "go-1.8.0/tunnel_delete" => {
                assert!(captured.body.starts_with(&again) && again.len() + 2 == captured.body.len());
            }
            _ => assert_eq!(again, captured.body, "{}", captured.name),
        }
    }
}

fn written_again(path: &str, body: &[u8]) -> Vec<u8> {
    fn read<M: Message + Default>(body: &[u8]) -> (M, Vec<u8>) {
        let message = M::decode(body).unwrap();
        let again = message.encode_to_vec();
        (message, again)
    }
    match path {
        "ListTable" => read::<table::ListTableRequest>(body).1,
        "CreateTable" => read::<table::CreateTableRequest>(body).1,
        "DescribeTable" | "DeleteTable" => read::<table::TableName>(body).1,
        "UpdateTable" => read::<table::UpdateTableRequest>(body).1,
        "ComputeSplitPointsBySize" => read::<table::SplitPointsRequest>(body).1,
        "PutRow" | "UpdateRow" | "DeleteRow" => {
            let (message, again) = read::<row::WriteRowRequest>(body);
            plain(&message.row);
            message.condition.column_condition.iter().for_each(filters);
            again
        }
        "GetRow" => {
            let (message, again) = read::<row::GetRowRequest>(body);
            plain(&message.primary_key);
            message.filter.iter().for_each(filters);
            again
        }
        "BatchGetRow" => {
            let (message, again) = read::<row::BatchGetRowRequest>(body);
            message.tables.iter().flat_map(|table| &table.primary_key).for_each(plain);
            again
        }
        "BatchWriteRow" => {
            let (message, again) = read::<row::BatchWriteRowRequest>(body);
            message.tables.iter().flat_map(|table| &table.rows).for_each(|row| plain(&row.row_change));
            again
        }
        "GetRange" => {
            let (message, again) = read::<row::GetRangeRequest>(body);
            [&message.start, &message.end].into_iter().for_each(plain);
            message.filter.iter().for_each(filters);
            again
        }
        "BulkImport" => {
            let (message, again) = read::<row::BulkImportRequest>(body);
            message.rows.iter().for_each(|row| plain(&row.row_change));
            again
        }
        "BulkExport" => {
            let (message, again) = read::<row::BulkExportRequest>(body);
            [&message.start, &message.end].into_iter().for_each(plain);
            again
        }
        "ListStream" => read::<stream::ListStreamRequest>(body).1,
        "DescribeStream" => read::<stream::DescribeStreamRequest>(body).1,
        "GetShardIterator" => read::<stream::ShardIteratorRequest>(body).1,
        "GetStreamRecord" => read::<stream::StreamRecordRequest>(body).1,
        "tunnel/create" => read::<tunnel::CreateTunnelRequest>(body).1,
        "tunnel/list" => read::<tunnel::ListTunnelRequest>(body).1,
        "tunnel/describe" | "tunnel/delete" => read::<tunnel::TunnelName>(body).1,
        "tunnel/connect" => read::<tunnel::ConnectRequest>(body).1,
        "tunnel/heartbeat" => read::<tunnel::HeartbeatRequest>(body).1,
        "tunnel/shutdown" => read::<tunnel::ShutdownRequest>(body).1,
        "tunnel/getcheckpoint" => read::<tunnel::GetCheckpointRequest>(body).1,
        "tunnel/checkpoint" => read::<tunnel::CheckpointRequest>(body).1,
        "tunnel/readrecords" => read::<tunnel::ReadRecordsRequest>(body).1,
        other => panic!("{other} is unknown"),
    }
}

/// One row, which is written again but for the zeros that some put behind it.
fn plain(wire: &Bytes) {
    let row: Row<'_> = Rows::one(wire).unwrap();
    let again = again(&[row]);
    assert_eq!(again, wire[..again.len()]);
    assert!(wire[again.len()..].iter().all(|byte| *byte == 0));
}

fn filters(wire: &Bytes) {
    let outer = filter::Filter::decode(wire.clone()).unwrap();
    assert_eq!(outer.encode_to_vec(), wire[..]);
    match filter::FilterType::try_from(outer.r#type).unwrap() {
        filter::FilterType::SingleColumnValue => {
            let inner = filter::SingleColumnValue::decode(outer.filter.clone()).unwrap();
            let mut reader = Reader::new(&inner.column_value);
            let value = Value::read(&mut reader).unwrap();
            assert!(reader.rest().iter().all(|byte| *byte == 0));
            assert!(inner.column_value.starts_with(&value.to_variant()));
            assert_eq!(inner.encode_to_vec(), outer.filter);
        }
        filter::FilterType::CompositeColumnValue => {
            let inner = filter::CompositeColumnValue::decode(outer.filter.clone()).unwrap();
            assert_eq!(inner.encode_to_vec(), outer.filter);
            inner.sub_filters.iter().for_each(|filter| filters(&filter.encode_to_vec().into()));
        }
        filter::FilterType::ColumnPagination => panic!("no such request was captured"),
    }
}

const TIME: i64 = 1_700_000_000_123;

fn first_key<'a>() -> Vec<Cell<'a>> {
    key(1, "user-é", &[0x00, 0xff])
}

fn key<'a>(gid: i64, uid: &'a str, bin: &'a [u8]) -> Vec<Cell<'a>> {
    vec![Cell::put("gid", Value::Integer(gid)), Cell::put("uid", Value::text(uid)), Cell::put("bin", Value::Blob(bin))]
}

#[test]
fn our_writes_are_theirs_byte_for_byte() {
    let cells = vec![
        Cell::put("i", Value::Integer(-2)),
        Cell::put("d", Value::Double(1.5)),
        Cell::put("b", Value::Boolean(true)),
        Cell::put("s", Value::text("h中")),
        Cell::put("x", Value::Blob(&[1, 2])),
        Cell::put_at("i_ts", Value::Integer(7), TIME),
    ];
    assert_eq!(Change::put(first_key(), cells).to_request("t_fix"), one("go-1.8.0/PutRow").body);
    let cells = vec![
        Cell::put("a", Value::text("v")),
        Cell::put_at("t", Value::Integer(5), TIME),
        Cell::delete_one("b", TIME),
        Cell::delete_all("c"),
        Cell::increment("n", 3),
    ];
    assert_eq!(Change::update(first_key(), cells).to_request("t_fix"), one("go-1.8.0/UpdateRow").body);
    assert_eq!(Change::delete(first_key()).to_request("t_fix"), one("go-1.8.0/DeleteRow").body);
    let extremes = vec![
        Cell::put("i_min", Value::Integer(i64::MIN)),
        Cell::put("i_max", Value::Integer(i64::MAX)),
        Cell::put("d_neg0", Value::Double(-0.0)),
        Cell::put("d_inf", Value::Double(f64::INFINITY)),
        Cell::put("d_max", Value::Double(f64::MAX)),
        Cell::put("d_den", Value::Double(5e-324)),
        Cell::put("b0", Value::Boolean(false)),
        Cell::put("s0", Value::text("")),
        Cell::put("x0", Value::Blob(&[])),
        Cell::put("s4", Value::text("a😀z")),
    ];
    let put = Change::put(key(i64::MIN, "", &[]), extremes);
    assert_eq!(put.to_request("t_fix"), one("go-1.8.0/PutRow_extremes").body);
}

#[test]
fn our_batches_are_theirs_byte_for_byte() {
    let existence = row::Existence::Expected;
    let rows = [
        Change::put(key(2, "b", b"2"), vec![Cell::put("a", Value::Integer(1))]),
        Change { existence, ..Change::update(key(3, "b", b"3"), vec![Cell::put("a", Value::Integer(2))]) },
        Change::delete(key(4, "b", b"4")),
    ];
    let other = [Change {
        existence: row::Existence::NotExpected,
        ..Change::put(
            vec![Cell::put("pk", Value::text("k")), Cell::put("seq", Value::Integer(5))],
            vec![Cell::put("a", Value::text("z"))],
        )
    }];
    let ours = change::batch_write(&[("t_fix", &rows), ("t_fix2", &other)]);
    assert_eq!(ours, one("python-6.4.8/BatchWriteRow").body);

    let rows = [
        Change::put(key(5, "b", b"5"), vec![Cell::put("a", Value::Integer(1))]),
        Change::update(key(6, "b", b"6"), vec![Cell::put("a", Value::Integer(2))]),
        Change::delete(key(4, "b", b"4")),
    ];
    assert_eq!(change::bulk_import("t_fix", &rows), one("java-5.17.10/BulkImport").body);
}

#[test]
fn our_reads_are_theirs_byte_for_byte() {
    let bound = |value| Bytes::from(encode::key(&["gid", "uid", "bin"].map(|name| Cell::put(name, value))));
    let range = row::GetRangeRequest {
        table_name: "t_fix".into(),
        direction: row::Direction::Forward as i32,
        max_versions: Some(1),
        limit: Some(10),
        start: bound(Value::InfMin),
        end: bound(Value::InfMax),
        ..row::GetRangeRequest::default()
    };
    assert_eq!(range.encode_to_vec(), one("python-6.4.8/GetRange").body);
    let get = row::GetRowRequest {
        table_name: "t_fix".into(),
        primary_key: encode::key(&first_key()).into(),
        columns_to_get: vec!["i".into(), "s".into()],
        max_versions: Some(2),
        ..row::GetRowRequest::default()
    };
    assert_eq!(get.encode_to_vec(), one("python-6.4.8/GetRow").body);
}
