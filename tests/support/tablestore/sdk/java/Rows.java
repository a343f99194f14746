import com.alicloud.openservices.tablestore.ClientConfiguration;
import com.alicloud.openservices.tablestore.SyncClient;
import com.alicloud.openservices.tablestore.core.auth.DefaultCredentialProvider;
import com.alicloud.openservices.tablestore.core.auth.DefaultCredentials;
import com.alicloud.openservices.tablestore.core.auth.V4Credentials;
import com.alicloud.openservices.tablestore.model.*;
import com.alicloud.openservices.tablestore.model.condition.SingleColumnValueCondition;
import com.alicloud.openservices.tablestore.model.tunnel.BulkExportQueryCriteria;
import java.util.*;
import java.util.stream.Collectors;

/** Tables, rows, batches, ranges, bulk calls. */
class Rows extends Trial {
    static void steps(Map<String, Step> steps) {
        steps.put("table", Rows::table);
        steps.put("row", Rows::row);
        steps.put("update", Rows::update);
        steps.put("condition", Rows::condition);
        steps.put("auto_increment", Rows::autoIncrement);
        steps.put("batch", Rows::batch);
        steps.put("batch_refused", Rows::batchRefused);
        steps.put("range", Rows::range);
        steps.put("bulk", Rows::bulk);
        steps.put("split_points", Rows::splitPoints);
        steps.put("compression", Rows::compression);
        steps.put("signature_v4", Rows::signatureV4);
        steps.put("retried_faults", Rows::retriedFaults);
    }

    static void table() throws Exception {
        create("t", 3, false);
        refused("OTSObjectAlreadyExist", () -> create("t", 3, false));
        same(client.listTable().getTableNames(), List.of("t"));
        UpdateTableRequest request = new UpdateTableRequest("t");
        TableOptions options = new TableOptions(-1, 2);
        options.setMaxTimeDeviation(315360000);
        request.setTableOptionsForUpdate(options);
        client.updateTable(request);
        DescribeTableResponse told = client.describeTable(new DescribeTableRequest("t"));
        same(told.getTableOptions().getMaxVersions(), 2);
        same(told.getTableMeta().getPrimaryKeyList().size(), 2);
        refused("OTSObjectNotExist", () -> client.describeTable(new DescribeTableRequest("absent")));
    }

    static void row() throws Exception {
        RowPutChange change = new RowPutChange("t", key(1));
        change.addColumn("i", ColumnValue.fromLong(-2));
        change.addColumn("d", ColumnValue.fromDouble(1.5));
        change.addColumn("b", ColumnValue.fromBoolean(true));
        change.addColumn("s", ColumnValue.fromString("h中😀"));
        change.addColumn("x", ColumnValue.fromBinary(new byte[] {1, 2}));
        change.addColumn("least", ColumnValue.fromLong(Long.MIN_VALUE));
        change.addColumn("empty", ColumnValue.fromString(""));
        change.addColumn("old", ColumnValue.fromLong(7), 1700000000123L);
        client.putRow(new PutRowRequest(change));
        Row found = get("t", key(1));
        same(cells(found), new TreeMap<>(Map.of("i", -2L, "d", 1.5, "b", true, "s", "h中😀", "x", "[1, 2]",
            "least", Long.MIN_VALUE, "empty", "", "old", 7L)));
        same(found.getLatestColumn("old").getTimestamp(), 1700000000123L);
        client.putRow(new PutRowRequest(new RowPutChange("t", key(1))));
        same(cells(get("t", key(1))), new TreeMap<>());
        remove("t", 1);
        same(get("t", key(1)), null);
    }

    static void update() throws Exception {
        put("t", 1, "gone", 2);
        RowUpdateChange change = new RowUpdateChange("t", key(1));
        change.put("s", ColumnValue.fromString("y"));
        change.deleteColumns("gone");
        change.put("old", ColumnValue.fromLong(1), 1700000000123L);
        change.increment(new Column("a", ColumnValue.fromLong(3)));
        change.setReturnType(ReturnType.RT_AFTER_MODIFY);
        change.addReturnColumn("a");
        UpdateRowResponse answer = client.updateRow(new UpdateRowRequest(change));
        same(answer.getRow().getLatestColumn("a").getValue().asLong(), 5L);
        change = new RowUpdateChange("t", key(1));
        change.deleteColumn("old", 1700000000123L);
        client.updateRow(new UpdateRowRequest(change));
        same(cells(get("t", key(1))), new TreeMap<>(Map.of("s", "y", "a", 5L)));
        remove("t", 1);
    }

    static void condition() throws Exception {
        RowPutChange change = new RowPutChange("t", key(2));
        change.addColumn("n", ColumnValue.fromLong(5));
        change.setCondition(new Condition(RowExistenceExpectation.EXPECT_NOT_EXIST));
        client.putRow(new PutRowRequest(change));
        refused("OTSConditionCheckFail", () -> client.putRow(new PutRowRequest(change)));
        Condition condition = new Condition(RowExistenceExpectation.IGNORE);
        change.setCondition(condition);
        condition.setColumnCondition(new SingleColumnValueCondition("n",
            SingleColumnValueCondition.CompareOperator.GREATER_THAN, ColumnValue.fromLong(5)));
        refused("OTSConditionCheckFail", () -> client.putRow(new PutRowRequest(change)));
        condition.setColumnCondition(new SingleColumnValueCondition("n",
            SingleColumnValueCondition.CompareOperator.EQUAL, ColumnValue.fromLong(5)));
        client.putRow(new PutRowRequest(change));
        remove("t", 2);
    }

    static void autoIncrement() throws Exception {
        TableMeta meta = new TableMeta("auto");
        meta.addPrimaryKeyColumn("pk", PrimaryKeyType.STRING);
        meta.addAutoIncrementPrimaryKeyColumn("seq");
        client.createTable(new CreateTableRequest(meta, new TableOptions(-1, 1),
            new ReservedThroughput(new CapacityUnit(0, 0))));
        long last = 0;
        for (int i = 0; i < 3; i++) {
            RowPutChange change = new RowPutChange("auto", PrimaryKeyBuilder.createPrimaryKeyBuilder()
                .addPrimaryKeyColumn("pk", PrimaryKeyValue.fromString("a"))
                .addPrimaryKeyColumn("seq", PrimaryKeyValue.AUTO_INCREMENT).build());
            change.addColumn("c", ColumnValue.fromLong(1));
            change.setReturnType(ReturnType.RT_PK);
            long given = client.putRow(new PutRowRequest(change)).getRow().getPrimaryKey().getPrimaryKeyColumn(1)
                .getValue().asLong();
            same(given > last, true);
            last = given;
        }
    }

    static void batch() throws Exception {
        BatchWriteRowRequest request = new BatchWriteRowRequest();
        for (long n = 10; n < 20; n++) {
            RowPutChange change = new RowPutChange("t", key(n));
            change.addColumn("a", ColumnValue.fromLong(n));
            request.addRowChange(change);
        }
        RowPutChange bad = new RowPutChange("t", key(99));
        bad.setCondition(new Condition(RowExistenceExpectation.EXPECT_EXIST));
        request.addRowChange(bad);
        request.addRowChange(new RowDeleteChange("auto", PrimaryKeyBuilder.createPrimaryKeyBuilder()
            .addPrimaryKeyColumn("pk", PrimaryKeyValue.fromString("a"))
            .addPrimaryKeyColumn("seq", PrimaryKeyValue.fromLong(5)).build()));
        BatchWriteRowResponse answer = client.batchWriteRow(request);
        same(answer.getSucceedRows().size(), 11);
        same(answer.getFailedRows().get(0).getError().getCode(), "OTSConditionCheckFail");
        same(answer.getFailedRows().get(0).getIndex(), 10);
        MultiRowQueryCriteria criteria = new MultiRowQueryCriteria("t");
        criteria.setMaxVersions(1);
        for (long n : new long[] {10, 99, 11}) {
            criteria.addRow(key(n));
        }
        BatchGetRowRequest read = new BatchGetRowRequest();
        read.addMultiRowQueryCriteria(criteria);
        same(client.batchGetRow(read).getSucceedRows().stream().map(r -> r.getRow() != null)
            .collect(Collectors.toList()), List.of(true, false, true));
    }

    static void batchRefused() throws Exception {
        BatchWriteRowRequest twice = new BatchWriteRowRequest();
        twice.addRowChange(new RowPutChange("t", key(50)));
        twice.addRowChange(new RowPutChange("t", key(50)));
        refused("OTSParameterInvalid", () -> client.batchWriteRow(twice));
        BatchWriteRowRequest many = new BatchWriteRowRequest();
        for (long n = 0; n < 201; n++) {
            many.addRowChange(new RowPutChange("t", key(1000 + n)));
        }
        refused("OTSParameterInvalid", () -> client.batchWriteRow(many));
        RowPutChange early = new RowPutChange("t", key(50));
        early.addColumn("a", ColumnValue.fromLong(1), 1000);
        refused("OTSParameterInvalid", () -> client.putRow(new PutRowRequest(early)));
        same(get("t", key(50)), null);
    }

    static List<Long> numbers(List<Row> rows) {
        return rows.stream().map(r -> r.getPrimaryKey().getPrimaryKeyColumn(0).getValue().asLong())
            .collect(Collectors.toList());
    }

    static void range() throws Exception {
        List<Long> up = List.of(10L, 11L, 12L, 13L, 14L, 15L, 16L, 17L, 18L, 19L);
        List<Long> down = new ArrayList<>(up);
        Collections.reverse(down);
        same(numbers(scan(client, "t", Direction.FORWARD, -1)), up);
        same(numbers(scan(client, "t", Direction.FORWARD, 3)), up);
        same(numbers(scan(client, "t", Direction.BACKWARD, 4)), down);
        admin("fault", "{\"operation\": \"GetRange\", \"kind\": \"empty_page\", \"times\": 1}");
        same(numbers(scan(client, "t", Direction.FORWARD, -1)), up);
        RangeRowQueryCriteria none = new RangeRowQueryCriteria("t");
        none.setMaxVersions(1);
        none.setInclusiveStartPrimaryKey(key(30));
        none.setExclusiveEndPrimaryKey(key(40));
        GetRangeResponse answer = client.getRange(new GetRangeRequest(none));
        same(answer.getRows().size(), 0);
        same(answer.getNextStartPrimaryKey(), null);
    }

    static void bulk() throws Exception {
        BulkImportRequest request = new BulkImportRequest("t");
        for (long n = 60; n < 70; n++) {
            RowPutChange change = new RowPutChange("t", key(n));
            change.addColumn("a", ColumnValue.fromLong(n));
            request.addRowChange(change);
        }
        request.addRowChange(new RowDeleteChange("t", key(10)));
        same(client.bulkImport(request).isAllSucceed(), true);
        for (DataBlockType type : new DataBlockType[] {DataBlockType.DBT_PLAIN_BUFFER,
            DataBlockType.DBT_SIMPLE_ROW_MATRIX}) {
            BulkExportQueryCriteria criteria = new BulkExportQueryCriteria("t");
            criteria.setInclusiveStartPrimaryKey(bound(PrimaryKeyValue.INF_MIN));
            criteria.setExclusiveEndPrimaryKey(bound(PrimaryKeyValue.INF_MAX));
            criteria.addColumnsToGet("a");
            criteria.setDataBlockType(type);
            BulkExportResponse answer = client.bulkExport(new BulkExportRequest(criteria));
            same(answer.getDataBlockType(), type);
            same(answer.getNextStartPrimaryKey(), null);
            List<Row> rows = type == DataBlockType.DBT_PLAIN_BUFFER
                ? new PlainBufferBlockParser(answer.getRows()).getRows()
                : new SimpleRowMatrixBlockParser(answer.getRows()).getRows();
            same(rows.size(), 19);
            same(cells(rows.get(18)), new TreeMap<>(Map.of("a", 69L)));
        }
    }

    static void splitPoints() throws Exception {
        admin("split", "{\"table\": \"t\", \"at\": 15}");
        List<Split> splits = client.computeSplitsBySize(new ComputeSplitsBySizeRequest("t", 1)).getSplits();
        same(splits.size(), 2);
        same(splits.get(0).getUpperBound(), splits.get(1).getLowerBound());
        same(splits.get(0).getLocation().equals(splits.get(1).getLocation()), false);
    }

    static void compression() throws Exception {
        ClientConfiguration configuration = strict();
        configuration.setEnableRequestCompression(true);
        configuration.setEnableResponseCompression(true);
        SyncClient packed = new SyncClient(endpoint, "ak", "sk", "inst", configuration);
        RowPutChange change = new RowPutChange("t", key(80));
        change.addColumn("s", ColumnValue.fromString("x".repeat(10000)));
        packed.putRow(new PutRowRequest(change));
        same(cells(get("t", key(80))).get("s"), "x".repeat(10000));
        same(numbers(scan(packed, "t", Direction.FORWARD, -1)), numbers(scan(client, "t", Direction.FORWARD, -1)));
        // An empty answer.
        packed.deleteTable(new DeleteTableRequest("auto"));
        packed.shutdown();
    }

    static void signatureV4() throws Exception {
        SyncClient v4 = new SyncClient(endpoint, new DefaultCredentialProvider(V4Credentials.createByServiceCredentials(
            new DefaultCredentials("ak", "sk"), "cn-hangzhou")), "inst", strict(), null);
        same(v4.listTable().getTableNames().contains("t"), true);
        v4.shutdown();
        SyncClient stranger = new SyncClient(endpoint, "ak", "wrong", "inst");
        refused("OTSAuthFailed", stranger::listTable);
        stranger.shutdown();
    }

    static void retriedFaults() throws Exception {
        for (String kind : new String[] {"\"503\"", "\"cut_before\"", "\"error\", \"code\": \"OTSTimeout\""}) {
            admin("fault", "{\"operation\": \"GetRow\", \"times\": 2, \"kind\": " + kind + "}");
            same(cells(get("t", key(11))).get("a"), 11L);
        }
        admin("fault", "{\"operation\": \"PutRow\", \"times\": 2, \"kind\": \"throttle\"}");
        put("t", 81, "b", 1);
    }
}
