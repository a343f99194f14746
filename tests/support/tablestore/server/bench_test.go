// How fast bench mode is by itself: batches of 200 rows in, ranges out, over loopback.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

func signedRequest(verb string, body []byte) []byte {
	h := headers{"x-ots-date": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "x-ots-apiversion": "2015-12-31",
		"x-ots-accesskeyid": "ak", "x-ots-instancename": "inst", "x-ots-contentmd5": md5Text(body)}
	name, signature, _ := signRequest("/"+verb, "sk", h)
	h[name] = signature
	var all bytes.Buffer
	fmt.Fprintf(&all, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", verb, len(body))
	for name, value := range h {
		fmt.Fprintf(&all, "%s: %s\r\n", name, value)
	}
	all.WriteString("\r\n")
	all.Write(body)
	return all.Bytes()
}

func benchDoor() *Door {
	w := newWorld("inst")
	w.settings.ReadyAfterMs = 0
	w.tables["t"] = &Table{name: "t", keyNames: []string{"gid"}, autoColumn: -1,
		keyTypes:   []otsprotocol.PrimaryKeyType{otsprotocol.PrimaryKeyType_INTEGER},
		options:    options{ttlSeconds: -1, maxVersions: 1, deviationSeconds: 86400, allowUpdate: true},
		partitions: []*Partition{{}}}
	door := newDoor(w, "ak", "sk")
	door.bench = newBench()
	return door
}

func measureRequest(b *testing.B, door *Door, request []byte) {
	server := httptest.NewServer(door)
	defer server.Close()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer connection.Close()
		in := bufio.NewReaderSize(connection, 1<<20)
		for p.Next() {
			connection.Write(request)
			answer, err := http.ReadResponse(in, nil)
			if err != nil || answer.StatusCode != 200 {
				b.Errorf("%v %v", answer, err)
				return
			}
			io.Copy(io.Discard, answer.Body)
		}
	})
}

// wideBatch is 200 rows of 8 columns.
func wideBatch(b *testing.B) []byte {
	table := &otsprotocol.TableInBatchWriteRowRequest{TableName: proto.String("t")}
	for n := range 200 {
		p := plainRow{buf: plainStart(nil)}
		p.key(keyNames, keyOf(n))
		for c := range 8 {
			p.cell(fmt.Sprintf("column%d", c), &Value{Kind: kindString, Bytes: fmt.Appendf(nil, "%032d", n)}, opPut, nil)
		}
		p.end(nil)
		table.Rows = append(table.Rows, &otsprotocol.RowInBatchWriteRowRequest{
			Type: otsprotocol.OperationType_PUT.Enum(), RowChange: p.buf,
			Condition: &otsprotocol.Condition{RowExistence: otsprotocol.RowExistenceExpectation_IGNORE.Enum()}})
	}
	body, err := proto.Marshal(&otsprotocol.BatchWriteRowRequest{
		Tables: []*otsprotocol.TableInBatchWriteRowRequest{table}})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func measureBatches(b *testing.B, door *Door) {
	body := wideBatch(b)
	b.SetBytes(int64(len(body)))
	before := cpuTime()
	measureRequest(b, door, signedRequest("BatchWriteRow", body))
	b.ReportMetric(float64(b.N)*200/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*200/(cpuTime()-before).Seconds(), "rows/cpu-s")
}

func BenchmarkBatchWriteRow(b *testing.B) { measureBatches(b, benchDoor()) }

// With rows kept, and a journal.
func BenchmarkBatchWriteRowKept(b *testing.B) {
	door := benchDoor()
	door.bench = nil
	journal, err := openJournal(b.TempDir(), false, door.world.replay)
	if err != nil {
		b.Fatal(err)
	}
	door.world.journal = journal
	measureBatches(b, door)
}

func BenchmarkGetRange(b *testing.B) {
	door := benchDoor()
	if _, err := door.bench.fill(door.world, []byte(`{"table": "t", "rows": 5000, "columns": 8}`)); err != nil {
		b.Fatal(err)
	}
	body, err := proto.Marshal(&otsprotocol.GetRangeRequest{TableName: proto.String("t"),
		Direction: otsprotocol.Direction_FORWARD.Enum(), MaxVersions: proto.Int32(1),
		InclusiveStartPrimaryKey: plainKey(keyNames, []Value{{Kind: kindInfMin}}),
		ExclusiveEndPrimaryKey:   plainKey(keyNames, []Value{{Kind: kindInfMax}})})
	if err != nil {
		b.Fatal(err)
	}
	measureRequest(b, door, signedRequest("GetRange", body))
	b.ReportMetric(float64(b.N)*5000/b.Elapsed().Seconds(), "rows/s")
}
