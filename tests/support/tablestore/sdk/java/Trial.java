import com.alicloud.openservices.tablestore.ClientConfiguration;
import com.alicloud.openservices.tablestore.SyncClient;
import com.alicloud.openservices.tablestore.TableStoreException;
import com.alicloud.openservices.tablestore.model.*;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.*;

/** Everything that the official Java SDK can do with our server.   Trial ENDPOINT [STEP] */
public class Trial {
    static String endpoint;
    static SyncClient client;

    interface Step {
        void run() throws Exception;
    }

    static void same(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError("found " + found + ", wanted " + wanted);
        }
    }

    static void refused(String code, Step step) throws Exception {
        try {
            step.run();
        } catch (TableStoreException failed) {
            same(failed.getErrorCode(), code);
            return;
        }
        throw new AssertionError("not refused with " + code);
    }

    static String admin(String name, String order) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(endpoint + "/_admin/" + name))
            .POST(HttpRequest.BodyPublishers.ofString(order)).build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new AssertionError(name + ": " + answer.body());
        }
        return answer.body();
    }

    /** Every answer's signature and MD5 are checked. */
    static ClientConfiguration strict() {
        ClientConfiguration configuration = new ClientConfiguration();
        configuration.setEnableResponseValidation(true);
        configuration.setEnableResponseContentMD5Checking(true);
        return configuration;
    }

    static void create(String name, int maxVersions, boolean stream) {
        TableMeta meta = new TableMeta(name);
        meta.addPrimaryKeyColumn("gid", PrimaryKeyType.INTEGER);
        meta.addPrimaryKeyColumn("uid", PrimaryKeyType.STRING);
        TableOptions options = new TableOptions(-1, maxVersions);
        options.setMaxTimeDeviation(315360000);
        CreateTableRequest request = new CreateTableRequest(meta, options,
            new ReservedThroughput(new CapacityUnit(0, 0)));
        if (stream) {
            StreamSpecification specification = new StreamSpecification(true, 24);
            specification.addOriginColumnsToGet("a");
            request.setStreamSpecification(specification);
        }
        client.createTable(request);
    }

    static PrimaryKey key(long number) {
        return PrimaryKeyBuilder.createPrimaryKeyBuilder().addPrimaryKeyColumn("gid", PrimaryKeyValue.fromLong(number))
            .addPrimaryKeyColumn("uid", PrimaryKeyValue.fromString("u" + number)).build();
    }

    static PrimaryKey bound(PrimaryKeyValue value) {
        return PrimaryKeyBuilder.createPrimaryKeyBuilder().addPrimaryKeyColumn("gid", value)
            .addPrimaryKeyColumn("uid", value).build();
    }

    static void put(String table, long number, String column, long value) {
        RowPutChange change = new RowPutChange(table, key(number));
        change.addColumn("a", ColumnValue.fromLong(value));
        change.addColumn(column, ColumnValue.fromBoolean(true));
        client.putRow(new PutRowRequest(change));
    }

    static void remove(String table, long number) {
        client.deleteRow(new DeleteRowRequest(new RowDeleteChange(table, key(number))));
    }

    static Row get(String table, PrimaryKey key) {
        SingleRowQueryCriteria criteria = new SingleRowQueryCriteria(table, key);
        criteria.setMaxVersions(1);
        return client.getRow(new GetRowRequest(criteria)).getRow();
    }

    static Map<String, Object> cells(Row row) {
        Map<String, Object> found = new TreeMap<>();
        for (Column column : row.getColumns()) {
            Object value = column.getValue().getValue();
            found.put(column.getName(), value instanceof byte[] ? Arrays.toString((byte[]) value) : value);
        }
        return found;
    }

    /** A table as GetRange shows it. */
    static Map<Long, Map<String, Object>> contents(String table) {
        Map<Long, Map<String, Object>> found = new TreeMap<>();
        for (Row row : scan(client, table, Direction.FORWARD, -1)) {
            found.put(row.getPrimaryKey().getPrimaryKeyColumn(0).getValue().asLong(), cells(row));
        }
        return found;
    }

    static List<Row> scan(SyncClient by, String table, Direction direction, int limit) {
        RangeRowQueryCriteria criteria = new RangeRowQueryCriteria(table);
        criteria.setDirection(direction);
        criteria.setMaxVersions(1);
        if (limit > 0) {
            criteria.setLimit(limit);
        }
        PrimaryKey low = bound(PrimaryKeyValue.INF_MIN);
        PrimaryKey high = bound(PrimaryKeyValue.INF_MAX);
        criteria.setInclusiveStartPrimaryKey(direction == Direction.FORWARD ? low : high);
        criteria.setExclusiveEndPrimaryKey(direction == Direction.FORWARD ? high : low);
        List<Row> rows = new ArrayList<>();
        while (criteria.getInclusiveStartPrimaryKey() != null) {
            GetRangeResponse answer = by.getRange(new GetRangeRequest(criteria));
            rows.addAll(answer.getRows());
            if (answer.getNextStartPrimaryKey() == null) {
                return rows;
            }
            criteria.setInclusiveStartPrimaryKey(answer.getNextStartPrimaryKey());
        }
        return rows;
    }

    /** Applies one record to a model of the table. */
    static void apply(Map<Long, Map<String, Object>> table, StreamRecord record) {
        long id = record.getPrimaryKey().getPrimaryKeyColumn(0).getValue().asLong();
        if (record.getRecordType() != StreamRecord.RecordType.UPDATE) {
            table.remove(id);
        }
        if (record.getRecordType() == StreamRecord.RecordType.DELETE) {
            return;
        }
        Map<String, Object> row = table.computeIfAbsent(id, k -> new TreeMap<>());
        for (RecordColumn column : record.getColumns()) {
            if (column.getColumnType() == RecordColumn.ColumnType.PUT) {
                row.put(column.getColumn().getName(), column.getColumn().getValue().getValue());
            } else {
                row.remove(column.getColumn().getName());
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        endpoint = arguments[0];
        client = new SyncClient(endpoint, "ak", "sk", "inst", strict());
        admin("settings", "{\"ready_after_ms\": 20, \"table_calls_per_second\": 0}");
        Map<String, Step> steps = new LinkedHashMap<>();
        Rows.steps(steps);
        Streams.steps(steps);
        Tunnels.steps(steps);
        for (Map.Entry<String, Step> step : steps.entrySet()) {
            if (arguments.length > 1 && !arguments[1].equals(step.getKey())) {
                continue;
            }
            try {
                step.getValue().run();
            } catch (Throwable surprise) {
                surprise.printStackTrace();
                System.exit(1);
            }
            System.out.println("ok " + step.getKey());
        }
        System.exit(0);
    }
}
