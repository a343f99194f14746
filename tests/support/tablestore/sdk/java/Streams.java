import com.alicloud.openservices.tablestore.model.*;
import java.util.*;

/** Streams: records, splits and merges with parents read first. */
class Streams extends Trial {
    static void steps(Map<String, Step> steps) {
        steps.put("stream_records", Streams::records);
        steps.put("stream_splits_and_merges", Streams::splitsAndMerges);
        steps.put("stream_trimmed", Streams::trimmed);
    }

    static String streamOf(String table) {
        return client.describeTable(new DescribeTableRequest(table)).getStreamDetails().getStreamId();
    }

    static List<StreamShard> shards(String stream) {
        List<StreamShard> all = new ArrayList<>();
        DescribeStreamRequest request = new DescribeStreamRequest(stream);
        request.setShardLimit(2);
        while (true) {
            DescribeStreamResponse answer = client.describeStream(request);
            all.addAll(answer.getShards());
            if (answer.getNextShardId() == null) {
                return all;
            }
            request.setInclusiveStartShardId(answer.getNextShardId());
        }
    }

    static String iterator(String stream, String shard) {
        return client.getShardIterator(new GetShardIteratorRequest(stream, shard)).getShardIterator();
    }

    /** Reads until caught up and gives the next iterator, null at the end of a closed shard. */
    static String readShard(String iterator, List<StreamRecord> into) {
        while (true) {
            GetStreamRecordRequest request = new GetStreamRecordRequest(iterator);
            request.setLimit(7);
            GetStreamRecordResponse answer = client.getStreamRecord(request);
            into.addAll(answer.getRecords());
            iterator = answer.getNextShardIterator();
            boolean more = Boolean.TRUE.equals(answer.getMayMoreRecord());
            if (iterator == null || answer.getRecords().isEmpty() && !more) {
                return iterator;
            }
        }
    }

    static void records() throws Exception {
        create("s", 1, true);
        put("s", 1, "b", 1);
        RowUpdateChange change = new RowUpdateChange("s", key(1));
        change.put("c", ColumnValue.fromString("x"));
        change.deleteColumns("b");
        change.deleteColumn("d", 1700000000123L);
        change.increment(new Column("a", ColumnValue.fromLong(4)));
        client.updateRow(new UpdateRowRequest(change));
        remove("s", 1);
        String stream = streamOf("s");
        same(client.listStream(new ListStreamRequest("s")).getStreams().size(), 1);
        List<StreamRecord> found = new ArrayList<>();
        admin("fault", "{\"operation\": \"GetStreamRecord\", \"kind\": \"empty_page\", \"times\": 2}");
        readShard(iterator(stream, shards(stream).get(0).getShardId()), found);
        same(found.size(), 3);
        same(found.get(1).getRecordType(), StreamRecord.RecordType.UPDATE);
        Map<String, RecordColumn> told = new HashMap<>();
        found.get(1).getColumns().forEach(c -> told.put(c.getColumn().getName(), c));
        same(told.get("a").getColumn().getValue().asLong(), 5L);
        same(told.get("b").getColumnType(), RecordColumn.ColumnType.DELETE_ALL_VERSION);
        same(told.get("d").getColumnType(), RecordColumn.ColumnType.DELETE_ONE_VERSION);
        same(found.get(2).getOriginColumns().get(0).getColumn().getValue().asLong(), 5L);
    }

    static void splitsAndMerges() throws Exception {
        create("m", 1, true);
        long[] n = {0};
        Step some = () -> {
            for (int i = 0; i < 40; i++) {
                n[0]++;
                put("m", n[0] % 25, "c" + n[0] % 3, n[0]);
                if (n[0] % 7 == 0) {
                    remove("m", (n[0] + 3) % 25);
                }
            }
        };
        some.run();
        admin("split", "{\"table\": \"m\", \"at\": 10}");
        some.run();
        admin("split", "{\"table\": \"m\", \"at\": 20}");
        some.run();
        admin("merge", "{\"table\": \"m\", \"at\": 5}");
        some.run();
        String stream = streamOf("m");
        List<StreamShard> waiting = shards(stream);
        same(waiting.size(), 6);
        Set<String> done = new HashSet<>();
        Map<Long, Map<String, Object>> followed = new TreeMap<>();
        while (!waiting.isEmpty()) {
            StreamShard next = waiting.stream().filter(s -> (s.getParentId() == null || done.contains(s.getParentId()))
                && (s.getParentSiblingId() == null || done.contains(s.getParentSiblingId()))).findFirst().get();
            waiting.remove(next);
            List<StreamRecord> found = new ArrayList<>();
            readShard(iterator(stream, next.getShardId()), found);
            found.forEach(record -> apply(followed, record));
            done.add(next.getShardId());
        }
        same(followed, contents("m"));
    }

    static void trimmed() throws Exception {
        String stream = streamOf("s");
        String old = iterator(stream, shards(stream).get(0).getShardId());
        admin("trim", "{\"table\": \"s\"}");
        refused("OTSTrimmedDataAccess", () -> client.getStreamRecord(new GetStreamRecordRequest(old)));
    }
}
