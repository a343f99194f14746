//! Streams and their shards.

use super::{Client, given};
use crate::connectors::tablestore::{
    failure::{Answer, Failure},
    messages::stream::{
        DescribeStreamRequest, DescribeStreamResponse, ListStreamRequest, ListStreamResponse, ShardIteratorRequest,
        ShardIteratorResponse, Stream, StreamRecordRequest, StreamRecordResponse,
    },
    operation::{DESCRIBE_STREAM, GET_SHARD_ITERATOR, GET_STREAM_RECORD, LIST_STREAM},
};

/// Far above what a stream has; a service that never ends its list must not hold us for ever.
const PAGES: usize = 10_000;

impl Client {
    /// Of one table, or of all.
    pub async fn list_streams(&self, table: Option<&str>) -> Answer<Vec<Stream>> {
        let request = ListStreamRequest { table_name: table.map(str::to_owned) };
        let answer: ListStreamResponse = self.ask(LIST_STREAM, &request).await?;
        Ok(answer.streams)
    }

    /// With all of its shards.
    pub async fn describe_stream(&self, stream_id: &str) -> Answer<DescribeStreamResponse> {
        let mut request = DescribeStreamRequest { stream_id: stream_id.to_owned(), ..DescribeStreamRequest::default() };
        let mut shards = Vec::new();
        for _ in 0..PAGES {
            let mut answer: DescribeStreamResponse = self.ask(DESCRIBE_STREAM, &request).await?;
            shards.append(&mut answer.shards);
            request.inclusive_start_shard_id = answer.next_shard_id.take().filter(|next| !next.is_empty());
            if request.inclusive_start_shard_id.is_none() {
                return Ok(DescribeStreamResponse { shards, ..answer });
            }
        }
        Err(Failure::spoiled(DESCRIBE_STREAM, "the list of shards does not end"))
    }

    /// Where a shard is read from: the oldest record that is kept, or near a time.
    pub async fn shard_iterator(&self, stream_id: &str, shard_id: &str, from_us: Option<i64>) -> Answer<String> {
        let mut request = ShardIteratorRequest {
            stream_id: stream_id.to_owned(),
            shard_id: shard_id.to_owned(),
            timestamp_us: from_us,
            token: None,
        };
        for _ in 0..PAGES {
            let answer: ShardIteratorResponse = self.ask(GET_SHARD_ITERATOR, &request).await?;
            // The time is still being looked for.
            request.token = answer.next_token.filter(|token| !token.is_empty());
            if request.token.is_none() {
                return given(GET_SHARD_ITERATOR, answer.shard_iterator, "shard_iterator");
            }
        }
        Err(Failure::spoiled(GET_SHARD_ITERATOR, "the time is looked for without an end"))
    }

    /// Fails with [`code::TRIMMED`](super::super::failure::code::TRIMMED) where the records are not kept any more.
    pub async fn stream_records(&self, iterator: &str, limit: Option<i32>) -> Answer<StreamRecordResponse> {
        let request = StreamRecordRequest { shard_iterator: iterator.to_owned(), limit, table_name: None };
        let mut answer: StreamRecordResponse = self.ask(GET_STREAM_RECORD, &request).await?;
        answer.next_shard_iterator = answer.next_shard_iterator.filter(|iterator| !iterator.is_empty());
        Ok(answer)
    }
}
