//! Calls against a scripted service: what is proven, what is repeated, and what is told of a write that was lost.

use super::{
    Client,
    responder::{Play, Responder, config},
};
use crate::{
    connectors::tablestore::{
        change::Change,
        failure::{Cause, Fate, code},
        messages::{
            error::{CapacityUnit, ConsumedCapacity, Error},
            row::{
                BatchResponse, GetRangeRequest, GetRangeResponse, RowInBatchResponse, TableInBatchResponse,
                WriteRowResponse,
            },
            stream::{DescribeStreamResponse, ShardIteratorResponse, StreamShard},
            table::ListTableResponse,
            tunnel::{ReadRecordsRequest, ReadRecordsResponse},
        },
        pack,
        plainbuffer::{Cell, Value},
    },
    error::ErrorKind,
};
use prost::Message;

fn tables(names: &[&str]) -> Vec<u8> {
    ListTableResponse { table_names: names.iter().map(|name| (*name).to_owned()).collect() }.encode_to_vec()
}

fn consumed() -> Option<ConsumedCapacity> {
    Some(ConsumedCapacity { unit: CapacityUnit { read: Some(0), write: Some(1) }, size: None })
}

fn written() -> Play {
    Play::Answer(WriteRowResponse { consumed: consumed(), row: None }.encode_to_vec())
}

fn change(number: i64) -> Change<'static> {
    Change::put(vec![Cell::put("pk", Value::Integer(number))], vec![Cell::put("a", Value::Boolean(true))])
}

#[tokio::test]
async fn a_connection_is_kept_and_a_request_is_signed() {
    let server = Responder::start([Play::Answer(tables(&["a", "b"])), Play::Answer(tables(&[]))]).await;
    assert_eq!(server.client.clock_ahead_s(), None);
    assert_eq!(server.client.list_tables().await.unwrap(), ["a", "b"]);
    assert_eq!(server.client.list_tables().await.unwrap(), [""; 0]);
    let asked = server.asked();
    assert_eq!((asked[0].path.as_str(), asked[0].connection, asked[1].connection), ("ListTable", 0, 0));
    assert_eq!(asked[0].header("x-ots-instancename"), Some("inst"));
    assert_eq!(asked[0].header("x-ots-ststoken"), Some("tok"));
    assert!(server.client.clock_ahead_s().is_some_and(|ahead_s| ahead_s.abs() < 60));
}

#[tokio::test]
async fn version_4_signs_both_ways() {
    let options = [("signature", "v4"), ("region", "cn-hangzhou")];
    let server = Responder::with(&options, [Play::Answer(tables(&["a"]))]).await;
    assert_eq!(server.client.list_tables().await.unwrap(), ["a"]);
    assert!(server.asked()[0].header("x-ots-signaturev4").is_some());
}

#[tokio::test]
async fn an_answer_that_proves_nothing_is_not_taken() {
    for play in [Play::Spoiled(tables(&["a"])), Play::Forged(tables(&["a"])), Play::Bare(200, "")] {
        let server = Responder::start([play.clone(), play.clone(), play]).await;
        let failure = server.client.list_tables().await.unwrap_err();
        assert!(matches!(failure.cause, Cause::Spoiled(_)), "{failure}");
        assert_eq!(server.asked().len(), 3);
    }
    let server = Responder::start([Play::Forged(Vec::new())]).await;
    assert!(server.client.put_row("t", &change(1)).await.unwrap_err().is_ambiguous());
}

#[tokio::test]
async fn an_answer_without_what_it_must_have_is_no_empty_page() {
    let empty = Play::Answer(Vec::new());
    let server = Responder::start([empty.clone(), empty]).await;
    let failure = server.client.get_range(&GetRangeRequest::default()).await.unwrap_err();
    assert!(failure.to_string().contains("`rows` is missing"));
    assert!(server.client.put_row("t", &change(1)).await.unwrap_err().is_ambiguous());
}

#[tokio::test]
async fn bodies_are_packed_both_ways() {
    let server = Responder::with(
        &[("compression", "zlib")],
        [Play::Packed(tables(&["a"])), Play::Answer(tables(&[])), written()],
    )
    .await;
    assert_eq!(server.client.list_tables().await.unwrap(), ["a"]);
    assert_eq!(server.client.list_tables().await.unwrap(), [""; 0]);
    let long = "x".repeat(50_000);
    let put = Change::put(vec![Cell::put("pk", Value::Integer(1))], vec![Cell::put("a", Value::text(&long))]);
    server.client.put_row("t", &put).await.unwrap();
    let asked = &server.asked()[2];
    let length = asked.header("x-ots-request-compress-size").unwrap().parse().unwrap();
    assert_eq!(pack::inflate(&asked.body, length).unwrap(), put.to_request("t"));
}

#[tokio::test]
async fn what_was_not_done_is_repeated_whatever_it_is() {
    let busy = Play::Complaint(503, "OTSServerBusy");
    let server = Responder::start([busy.clone(), busy.clone(), written()]).await;
    server.client.put_row("t", &change(1)).await.unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_lost_write_is_sent_once_and_told_as_ambiguous() {
    for play in [Play::Cut, Play::Bare(503, ""), Play::Complaint(503, "OTSTimeout"), Play::Hang] {
        let server = Responder::with(&[("answer_timeout_ms", "300")], [play.clone()]).await;
        let failure = server.client.put_row("t", &change(1)).await.unwrap_err();
        assert!(failure.is_ambiguous(), "{play:?}: {failure}");
        assert_eq!(server.asked().len(), 1, "{play:?}");
        assert_eq!(failure.at("writing").kind(), ErrorKind::Transient);
    }
}

#[tokio::test]
async fn a_lost_read_is_repeated() {
    for play in [Play::Cut, Play::Bare(502, ""), Play::Complaint(500, "OTSInternalServerError")] {
        let server = Responder::start([play.clone(), Play::Answer(tables(&["a"]))]).await;
        assert_eq!(server.client.list_tables().await.unwrap(), ["a"], "{play:?}");
    }
}

#[tokio::test]
async fn who_is_not_there_was_told_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tablestore://inst@{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&config(&url, &[])).unwrap();
    let failure = client.put_row("t", &change(1)).await.unwrap_err();
    assert_eq!((failure.fate(), failure.is_ambiguous()), (Fate::NotDone, false), "{failure}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_with_the_refusal() {
    let refused = Play::Ahead(1200, Box::new(Play::Complaint(403, code::AUTH_FAILED)));
    let server = Responder::start([refused]).await;
    let failure = server.client.list_tables().await.unwrap_err();
    assert!(failure.to_string().contains("s behind the service's"), "{failure}");
    assert!(server.client.clock_ahead_s().is_some_and(|ahead_s| (-1205..=-1195).contains(&ahead_s)));
    assert_eq!(failure.at("x").kind(), ErrorKind::Config);
}

#[tokio::test]
async fn an_endpoint_that_moved_is_not_followed() {
    let server = Responder::start([Play::Bare(301, "location: https://b.example\r\n")]).await;
    let error = server.client.list_tables().await.unwrap_err().at("x");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint_text().is_some_and(|hint| hint.ends_with("https://b.example")));
}

#[tokio::test]
async fn an_answer_may_not_be_larger_than_we_take() {
    for told in [true, false] {
        let large = Play::Large { bytes: 10 << 20, told };
        let server = Responder::with(&[("max_row_bytes", "1048576")], [large]).await;
        let failure = server.client.list_tables().await.unwrap_err();
        assert!(matches!(failure.cause, Cause::TooLarge { .. }), "{failure}");
        assert_eq!(failure.at("x").kind(), ErrorKind::Refused);
    }
}

fn row(failed: Option<&str>) -> RowInBatchResponse {
    RowInBatchResponse {
        is_ok: Some(failed.is_none()),
        error: failed.map(|code| Box::new(Error { code: Some(code.into()), message: None, access_denied: None })),
        ..RowInBatchResponse::default()
    }
}

fn batch(tables: &[(&str, &[Option<&str>])]) -> Play {
    let table = |(name, rows): &(&str, &[Option<&str>])| TableInBatchResponse {
        table_name: (*name).to_owned(),
        rows: rows.iter().map(|failed| row(*failed)).collect(),
    };
    Play::Answer(BatchResponse { tables: tables.iter().map(table).collect() }.encode_to_vec())
}

#[tokio::test]
async fn a_batch_tells_of_each_row() {
    let (busy, lost) = (Some("OTSServerBusy"), Some("OTSTimeout"));
    let script = [batch(&[("b", &[None]), ("a", &[None, busy, lost])])];
    let server = Responder::start(script).await;
    let rows = [change(1), change(2), change(3)];
    let told = server.client.batch_write_row(&[("a", &rows), ("b", &rows[..1])]).await.unwrap();
    assert!(told[0][0].is_ok() && told[1][0].is_ok());
    assert_eq!(told[0][1].as_ref().unwrap_err().fate(), Fate::NotDone);
    assert!(told[0][2].as_ref().unwrap_err().is_ambiguous());
}

#[tokio::test]
async fn a_batch_that_does_not_tell_of_each_row_is_ambiguous() {
    let rows = [change(1), change(2)];
    for play in [batch(&[("a", &[None])]), batch(&[]), batch(&[("a", &[None, None]), ("b", &[])])] {
        let server = Responder::start([play]).await;
        let failure = server.client.batch_write_row(&[("a", &rows)]).await.unwrap_err();
        assert!(failure.is_ambiguous(), "{failure}");
    }
}

#[tokio::test]
async fn a_page_without_a_row_is_not_the_last() {
    let page = GetRangeResponse {
        consumed: consumed(),
        rows: Some(Vec::new().into()),
        next_start: Some(b"key".to_vec().into()),
        ..GetRangeResponse::default()
    };
    let server = Responder::start([Play::Answer(page.encode_to_vec())]).await;
    let page = server.client.get_range(&GetRangeRequest::default()).await.unwrap();
    assert_eq!(page.rows().unwrap().count(), 0);
    assert_eq!(page.next_start.as_deref(), Some(&b"key"[..]));
    assert!(page.matrix().is_err());
}

#[tokio::test]
async fn shards_and_iterators_are_asked_for_until_they_are_there() {
    let shard = |id: &str| StreamShard { shard_id: id.to_owned(), ..StreamShard::default() };
    let page = |id, next: Option<&str>| {
        let shards = vec![shard(id)];
        let next_shard_id = next.map(str::to_owned);
        Play::Answer(DescribeStreamResponse { shards, next_shard_id, ..Default::default() }.encode_to_vec())
    };
    let iterator = |token: Option<&str>| {
        let next_token = token.map(str::to_owned);
        Play::Answer(ShardIteratorResponse { shard_iterator: Some("it".into()), next_token }.encode_to_vec())
    };
    let server =
        Responder::start([page("s1", Some("s2")), page("s2", None), iterator(Some("t")), iterator(None)]).await;
    let stream = server.client.describe_stream("st").await.unwrap();
    assert_eq!(stream.shards, [shard("s1"), shard("s2")]);
    assert_eq!(server.client.shard_iterator("st", "s1", Some(5)).await.unwrap(), "it");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_channel_without_a_next_token_is_not_finished() {
    let empty = ReadRecordsResponse { next_token: None, ..ReadRecordsResponse::default() };
    let last = ReadRecordsResponse { next_token: Some("finished".into()), ..ReadRecordsResponse::default() };
    let server = Responder::start([empty, last].map(|answer| Play::Answer(answer.encode_to_vec()))).await;
    let request = ReadRecordsRequest::default();
    assert!(server.client.read_records(&request).await.is_err());
    assert_eq!(server.client.read_records(&request).await.unwrap().0, "finished");
    assert_eq!(server.asked()[0].path, "tunnel/readrecords");
}
