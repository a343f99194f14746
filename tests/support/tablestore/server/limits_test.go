// Limits and refusals, asked for at the door as a client would.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

// ask gives the code of the refusal, "" for an answer.
func ask(t *testing.T, door *Door, verb string, request, into proto.Message) string {
	t.Helper()
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	in, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(signedRequest(verb, body))))
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	door.ServeHTTP(answer, in)
	if answer.Code == 200 {
		if into != nil {
			if err := proto.Unmarshal(answer.Body.Bytes(), into); err != nil {
				t.Fatal(err)
			}
		}
		return ""
	}
	var refused otsprotocol.Error
	if err := proto.Unmarshal(answer.Body.Bytes(), &refused); err != nil {
		return fmt.Sprint(answer.Code)
	}
	return refused.GetCode()
}

func order(t *testing.T, door *Door, name, body string) {
	t.Helper()
	if _, err := door.administer(name, http.MethodPost, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// house is a door with a table of one INTEGER key and a stream.
func house(t *testing.T) *Door {
	door := newDoor(newWorld("inst"), "ak", "sk")
	order(t, door, "settings", `{"ready_after_ms": 0, "table_calls_per_second": 0}`)
	if code := ask(t, door, "CreateTable", tableOf("t"), nil); code != "" {
		t.Fatal(code)
	}
	return door
}

func tableOf(name string) *otsprotocol.CreateTableRequest {
	return &otsprotocol.CreateTableRequest{
		TableMeta: &otsprotocol.TableMeta{TableName: &name, PrimaryKey: []*otsprotocol.PrimaryKeySchema{
			{Name: proto.String("gid"), Type: otsprotocol.PrimaryKeyType_INTEGER.Enum()}}},
		ReservedThroughput: &otsprotocol.ReservedThroughput{CapacityUnit: &otsprotocol.CapacityUnit{}},
		StreamSpec:         &otsprotocol.StreamSpecification{EnableStream: proto.Bool(true), ExpirationTime: proto.Int32(24)},
	}
}

func rowOf(n int, cells ...WireCell) []byte {
	return rewrite(&WireRow{Key: []WireCell{{Name: "gid", Value: integer(int64(n))}}, Cells: cells}, nil)
}

func textCell(name string, length int) WireCell {
	return WireCell{Name: name, HasValue: true, Value: Value{Kind: kindBlob, Bytes: make([]byte, length)}}
}

func put(row []byte) *otsprotocol.PutRowRequest {
	return &otsprotocol.PutRowRequest{TableName: proto.String("t"), Row: row,
		Condition: &otsprotocol.Condition{RowExistence: otsprotocol.RowExistenceExpectation_IGNORE.Enum()}}
}

func update(row []byte) *otsprotocol.UpdateRowRequest {
	return &otsprotocol.UpdateRowRequest{TableName: proto.String("t"), RowChange: row,
		Condition: &otsprotocol.Condition{RowExistence: otsprotocol.RowExistenceExpectation_IGNORE.Enum()}}
}

func rangeOf(limit int) *otsprotocol.GetRangeRequest {
	q := &otsprotocol.GetRangeRequest{TableName: proto.String("t"), Direction: otsprotocol.Direction_FORWARD.Enum(),
		MaxVersions: proto.Int32(9), InclusiveStartPrimaryKey: plainKey(keyNames, []Value{{Kind: kindInfMin}}),
		ExclusiveEndPrimaryKey: plainKey(keyNames, []Value{{Kind: kindInfMax}})}
	if limit > 0 {
		q.Limit = proto.Int32(int32(limit))
	}
	return q
}

func TestRefusals(t *testing.T) {
	door := house(t)
	now := now(door.world).millis()
	late := func(ms int64) WireCell {
		return WireCell{Name: "a", HasValue: true, Value: integer(1), Time: now + ms, HasTime: true}
	}
	var many []WireCell
	for c := range 1025 {
		many = append(many, textCell(fmt.Sprintf("c%d", c), 1))
	}
	day := int64(86_400_000)
	cases := []struct {
		name, verb, code string
		request          proto.Message
	}{
		{"a value of 2 MiB", "PutRow", "", put(rowOf(1, textCell("a", 2<<20)))},
		{"a value above 2 MiB", "PutRow", "OTSParameterInvalid", put(rowOf(1, textCell("a", 2<<20+1)))},
		{"a row above 4 MB", "PutRow", "OTSOutOfRowSizeLimit",
			put(rowOf(1, textCell("a", 2<<20), textCell("b", 2<<20), textCell("c", 1)))},
		{"1024 columns", "PutRow", "", put(rowOf(1, many[:1024]...))},
		{"1025 columns", "PutRow", "OTSOutOfColumnCountLimit", put(rowOf(1, many...))},
		{"a cell of a day ago", "PutRow", "", put(rowOf(1, late(-day+5000)))},
		{"a cell of more than a day ago", "PutRow", "OTSParameterInvalid", put(rowOf(1, late(-day-1)))},
		{"a cell of tomorrow", "PutRow", "OTSParameterInvalid", put(rowOf(1, late(day+60_000)))},
		{"a bad name", "PutRow", "OTSParameterInvalid", put(rowOf(1, textCell("a-b", 1)))},
		{"a column twice", "PutRow", "OTSParameterInvalid", put(rowOf(1, textCell("a", 1), textCell("a", 1)))},
		{"a key as a column", "PutRow", "OTSParameterInvalid", put(rowOf(1, textCell("gid", 1)))},
		{"an update of nothing", "UpdateRow", "OTSParameterInvalid", update(rowOf(1))},
		{"an increment of a blob", "UpdateRow", "OTSParameterInvalid",
			update(rowOf(1, WireCell{Name: "a", HasValue: true, Value: integer(1), Op: opIncrement}))},
		{"a table that is not there", "DeleteTable", "OTSObjectNotExist",
			&otsprotocol.DeleteTableRequest{TableName: proto.String("absent")}},
		{"a throughput changed twice", "UpdateTable", "OTSTooFrequentReservedThroughputAdjustment",
			&otsprotocol.UpdateTableRequest{TableName: proto.String("t"), ReservedThroughput: &otsprotocol.ReservedThroughput{
				CapacityUnit: &otsprotocol.CapacityUnit{Read: proto.Int32(1)}}}},
		{"a stream switched on twice", "UpdateTable", "OTSParameterInvalid",
			&otsprotocol.UpdateTableRequest{TableName: proto.String("t"), StreamSpec: tableOf("t").StreamSpec}},
		{"an unknown operation", "Search", "OTSUnsupportOperation", rangeOf(0)},
	}
	if code := ask(t, door, "PutRow", put(rowOf(1, textCell("a", 1))), nil); code != "" {
		t.Fatal(code)
	}
	for _, c := range cases {
		if c.name == "an increment of a blob" {
			ask(t, door, "PutRow", put(rowOf(1, textCell("a", 1))), nil)
		}
		if code := ask(t, door, c.verb, c.request, nil); code != c.code {
			t.Errorf("%s: %q instead of %q", c.name, code, c.code)
		}
	}
}

func TestATableIsNotReadyAtOnceAndItsCallsAreCounted(t *testing.T) {
	door := newDoor(newWorld("inst"), "ak", "sk")
	ask(t, door, "CreateTable", tableOf("t"), nil)
	if code := ask(t, door, "PutRow", put(rowOf(1)), nil); code != "OTSTableNotReady" {
		t.Errorf("%q", code)
	}
	for range 9 {
		ask(t, door, "ListTable", &otsprotocol.ListTableRequest{}, nil)
	}
	if code := ask(t, door, "ListTable", &otsprotocol.ListTableRequest{}, nil); code != "OTSQuotaExhausted" {
		t.Errorf("%q", code)
	}
}

func TestASplitTableIsAwayForAMoment(t *testing.T) {
	door := house(t)
	order(t, door, "settings", `{"split_pause_ms": 60000}`)
	order(t, door, "split", `{"table": "t", "at": 5}`)
	for verb, request := range map[string]proto.Message{"PutRow": put(rowOf(1)), "GetRange": rangeOf(0)} {
		if code := ask(t, door, verb, request, nil); code != "OTSPartitionUnavailable" {
			t.Errorf("%s: %q", verb, code)
		}
	}
}

func TestUpdatesCanBeForbidden(t *testing.T) {
	door := house(t)
	options := &otsprotocol.TableOptions{AllowUpdate: proto.Bool(false)}
	ask(t, door, "UpdateTable", &otsprotocol.UpdateTableRequest{TableName: proto.String("t"), TableOptions: options}, nil)
	if code := ask(t, door, "UpdateRow", update(rowOf(1, textCell("a", 1))), nil); code != "OTSUnsupportOperation" {
		t.Errorf("%q", code)
	}
	if code := ask(t, door, "PutRow", put(rowOf(1, textCell("a", 1))), nil); code != "" {
		t.Errorf("%q", code)
	}
}

func TestVersionsAreTrimmedNewestFirst(t *testing.T) {
	door := house(t)
	ask(t, door, "UpdateTable", &otsprotocol.UpdateTableRequest{TableName: proto.String("t"),
		TableOptions: &otsprotocol.TableOptions{MaxVersions: proto.Int32(2)}}, nil)
	now := now(door.world).millis()
	for _, ms := range []int64{300, 100, 200} {
		cell := WireCell{Name: "a", HasValue: true, Value: integer(ms), Time: now + ms, HasTime: true}
		ask(t, door, "UpdateRow", update(rowOf(1, cell)), nil)
	}
	var answer otsprotocol.GetRangeResponse
	ask(t, door, "GetRange", rangeOf(0), &answer)
	var row WireRow
	if err := readRow(answer.Rows, &row); err != nil {
		t.Fatal(err)
	}
	if len(row.Cells) != 2 || row.Cells[0].Value.integer() != 300 || row.Cells[1].Value.integer() != 200 {
		t.Errorf("%v", row.Cells)
	}
}

func TestExpiryIsSilent(t *testing.T) {
	door := house(t)
	ask(t, door, "UpdateTable", &otsprotocol.UpdateTableRequest{TableName: proto.String("t"),
		TableOptions: &otsprotocol.TableOptions{TimeToLive: proto.Int32(86400)}}, nil)
	ask(t, door, "PutRow", put(rowOf(1, textCell("a", 1))), nil)
	ask(t, door, "PutRow", put(rowOf(2)), nil)
	order(t, door, "clock", `{"add_ms": 86401000}`)
	var answer otsprotocol.GetRangeResponse
	ask(t, door, "GetRange", rangeOf(0), &answer)
	if len(answer.Rows) != 0 || answer.NextStartPrimaryKey != nil {
		t.Errorf("%x", answer.Rows)
	}
	if end := door.world.tables["t"].partitions[0].shard.end(); end != 2 {
		t.Errorf("%d records", end)
	}
}

func TestTombstonesWhenAskedFor(t *testing.T) {
	door := house(t)
	order(t, door, "settings", `{"tombstones": true}`)
	ask(t, door, "PutRow", put(rowOf(1, textCell("a", 1))), nil)
	gone := &otsprotocol.DeleteRowRequest{TableName: proto.String("t"), Condition: put(nil).Condition}
	p := plainRow{buf: plainStart(nil)}
	p.key(keyNames, keyOf(1))
	p.buf = append(p.buf, tagDeleteMarker, tagRowChecksum, crcByte(p.crc, 1))
	gone.PrimaryKey = p.buf
	if code := ask(t, door, "DeleteRow", gone, nil); code != "" {
		t.Fatal(code)
	}
	old := WireCell{Name: "a", HasValue: true, Value: integer(1), Time: now(door.world).millis() - 1000, HasTime: true}
	ask(t, door, "PutRow", put(rowOf(1, old)), nil)
	var answer otsprotocol.GetRangeResponse
	ask(t, door, "GetRange", rangeOf(0), &answer)
	var row WireRow
	if err := readRow(answer.Rows, &row); err != nil || len(row.Cells) != 0 {
		t.Errorf("%v %v", row.Cells, err)
	}
}
