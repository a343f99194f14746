// kill -9 while requests are under way: what was acknowledged is there again, byte for byte, streams and tunnels too.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel/protocol"
	"github.com/golang/protobuf/proto"
)

const asServer = "TABLESTORE_SERVER_ARGUMENTS"

// The test binary is the server too, when told so.
func TestMain(m *testing.M) {
	if arguments := os.Getenv(asServer); arguments != "" {
		os.Args = append(os.Args[:1], strings.Fields(arguments)...)
		main()
		return
	}
	os.Exit(m.Run())
}

type served struct {
	t        *testing.T
	process  *exec.Cmd
	endpoint string
}

func serve(t *testing.T, data string) *served {
	t.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), asServer+"=--data "+data)
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { process.Process.Kill(); process.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return &served{t, process, strings.TrimSpace(strings.TrimPrefix(line, "ready "))}
}

func (s *served) kill() {
	s.process.Process.Kill()
	s.process.Wait()
}

func (s *served) request(verb string, request proto.Message) *http.Request {
	sent, err := proto.Marshal(request)
	if err != nil {
		s.t.Fatal(err)
	}
	h := headers{"x-ots-date": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "x-ots-apiversion": "2015-12-31",
		"x-ots-accesskeyid": "ak", "x-ots-instancename": "inst", "x-ots-contentmd5": md5Text(sent)}
	name, signature, _ := signRequest("/"+verb, "sk", h)
	h[name] = signature
	in, _ := http.NewRequest(http.MethodPost, s.endpoint+"/"+verb, bytes.NewReader(sent))
	// Without this, a broken connection is tried again.
	in.GetBody = nil
	for name, value := range h {
		in.Header.Set(name, value)
	}
	return in
}

// send gives the answer's body; ok: it was acknowledged.
func (s *served) send(verb string, request proto.Message) (body []byte, ok bool) {
	answer, err := http.DefaultClient.Do(s.request(verb, request))
	if err != nil {
		return nil, false
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return body, err == nil && answer.StatusCode == 200
}

func (s *served) must(verb string, request proto.Message, into proto.Message) []byte {
	s.t.Helper()
	body, ok := s.send(verb, request)
	if !ok {
		s.t.Fatalf("%s: %q", verb, body)
	}
	if into != nil {
		if err := proto.Unmarshal(body, into); err != nil {
			s.t.Fatal(err)
		}
	}
	return body
}

func (s *served) admin(name, order string) {
	s.t.Helper()
	answer, err := http.Post(s.endpoint+"/_admin/"+name, "application/json", strings.NewReader(order))
	if err != nil || answer.StatusCode != 200 {
		s.t.Fatalf("%s: %v %v", name, answer, err)
	}
	answer.Body.Close()
}

var keyNames = []string{"gid"}

func keyOf(n int) []Value { return []Value{integer(int64(n))} }

// batchOf puts some rows; a row says in which batch it was written last.
func batchOf(batch int) *otsprotocol.BatchWriteRowRequest {
	table := &otsprotocol.TableInBatchWriteRowRequest{TableName: proto.String("t")}
	for i := range 20 {
		p := plainRow{buf: plainStart(nil)}
		p.key(keyNames, keyOf((batch*7+i)%100))
		value := integer(int64(batch))
		p.cell("batch", &value, opPut, nil)
		p.end(nil)
		table.Rows = append(table.Rows, &otsprotocol.RowInBatchWriteRowRequest{
			Type: otsprotocol.OperationType_PUT.Enum(), RowChange: p.buf,
			Condition: &otsprotocol.Condition{RowExistence: otsprotocol.RowExistenceExpectation_IGNORE.Enum()}})
	}
	return &otsprotocol.BatchWriteRowRequest{Tables: []*otsprotocol.TableInBatchWriteRowRequest{table}}
}

// everything is the answers to all that can be asked without changing anything.
func (s *served) everything(stream *string) string {
	var all bytes.Buffer
	all.Write(s.must("GetRange", &otsprotocol.GetRangeRequest{TableName: proto.String("t"),
		Direction: otsprotocol.Direction_FORWARD.Enum(), MaxVersions: proto.Int32(9),
		InclusiveStartPrimaryKey: plainKey(keyNames, []Value{{Kind: kindInfMin}}),
		ExclusiveEndPrimaryKey:   plainKey(keyNames, []Value{{Kind: kindInfMax}})}, nil))
	all.Write(s.must("DescribeTable", &otsprotocol.DescribeTableRequest{TableName: proto.String("t")}, nil))
	var told otsprotocol.DescribeStreamResponse
	all.Write(s.must("DescribeStream", &otsprotocol.DescribeStreamRequest{StreamId: stream}, &told))
	for _, shard := range told.Shards {
		var place otsprotocol.GetShardIteratorResponse
		s.must("GetShardIterator", &otsprotocol.GetShardIteratorRequest{StreamId: stream, ShardId: shard.ShardId}, &place)
		all.Write(s.must("GetStreamRecord", &otsprotocol.GetStreamRecordRequest{ShardIterator: place.ShardIterator}, nil))
	}
	var described protocol.DescribeTunnelResponse
	s.must("tunnel/describe", &protocol.DescribeTunnelRequest{TableName: proto.String("t"),
		TunnelName: proto.String("tun")}, &described)
	for _, channel := range described.Channels {
		channel.ChannelRpo = nil // the time of the question
	}
	fmt.Fprint(&all, described.Tunnel, described.Channels)
	return all.String()
}

func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data)
	s.admin("settings", `{"ready_after_ms": 0, "split_pause_ms": 0, "stream_page_records": 100000}`)
	s.must("CreateTable", &otsprotocol.CreateTableRequest{
		TableMeta: &otsprotocol.TableMeta{TableName: proto.String("t"), PrimaryKey: []*otsprotocol.PrimaryKeySchema{
			{Name: proto.String("gid"), Type: otsprotocol.PrimaryKeyType_INTEGER.Enum()}}},
		ReservedThroughput: &otsprotocol.ReservedThroughput{CapacityUnit: &otsprotocol.CapacityUnit{}},
		StreamSpec:         &otsprotocol.StreamSpecification{EnableStream: proto.Bool(true), ExpirationTime: proto.Int32(24)},
	}, nil)
	var told otsprotocol.DescribeTableResponse
	s.must("DescribeTable", &otsprotocol.DescribeTableRequest{TableName: proto.String("t")}, &told)
	stream := told.StreamDetails.StreamId
	s.must("tunnel/create", &protocol.CreateTunnelRequest{Tunnel: &protocol.Tunnel{TableName: proto.String("t"),
		TunnelName: proto.String("tun"), TunnelType: protocol.TunnelType_Stream.Enum()}}, nil)

	// Quiet: a split, faults in rows, a client with a channel; all there after a kill.
	for batch := range 30 {
		if batch == 10 {
			s.admin("split", `{"table": "t", "at": 50}`)
		}
		if batch == 20 {
			s.admin("fault", `{"operation": "BatchWriteRow", "kind": "row", "every": 3, "times": 2}`)
		}
		s.must("BatchWriteRow", batchOf(batch), nil)
	}
	tunnel := s.join()
	before := s.everything(stream)
	s.kill()
	s = serve(t, data)
	if after := s.everything(stream); after != before {
		t.Fatal("something is different after a restart")
	}
	tunnel.goesOn(s)

	// Under way: the batches come in one after another, the kill at any time.
	for round := range 5 {
		acknowledged := make(chan int, 1)
		go func() {
			last := -1
			for batch := range 100_000 {
				if _, ok := s.send("BatchWriteRow", batchOf(batch)); !ok {
					break
				}
				last = batch
			}
			acknowledged <- last
		}()
		var wait [1]byte
		rand.Read(wait[:])
		time.Sleep(time.Duration(50+int(wait[0])) * time.Millisecond)
		s.kill()
		last := <-acknowledged
		s = serve(t, data)
		row := s.newest((last * 7) % 100)
		if row != last && row != last+1 {
			t.Fatalf("round %d: batch %d was acknowledged, the row says %d", round, last, row)
		}
	}
}

func (s *served) newest(n int) int {
	var answer otsprotocol.GetRowResponse
	s.must("GetRow", &otsprotocol.GetRowRequest{TableName: proto.String("t"), MaxVersions: proto.Int32(1),
		PrimaryKey: plainKey(keyNames, keyOf(n))}, &answer)
	var row WireRow
	if err := readRow(answer.Row, &row); err != nil {
		s.t.Fatal(err)
	}
	return int(row.Cells[0].Value.integer())
}

// joined is a client of the tunnel with its first channel.
type joined struct {
	tunnel, client, channel, token string
}

func (s *served) join() *joined {
	var listed protocol.ListTunnelResponse
	s.must("tunnel/list", &protocol.ListTunnelRequest{}, &listed)
	j := &joined{tunnel: *listed.Tunnels[0].TunnelId}
	var connected protocol.ConnectResponse
	s.must("tunnel/connect", &protocol.ConnectRequest{TunnelId: &j.tunnel}, &connected)
	j.client = *connected.ClientId
	var beat protocol.HeartbeatResponse
	s.must("tunnel/heartbeat", &protocol.HeartbeatRequest{TunnelId: &j.tunnel, ClientId: &j.client}, &beat)
	j.channel = *beat.Channels[0].ChannelId
	var at protocol.GetCheckpointResponse
	s.must("tunnel/getcheckpoint", &protocol.GetCheckpointRequest{TunnelId: &j.tunnel, ClientId: &j.client,
		ChannelId: &j.channel}, &at)
	var page protocol.ReadRecordsResponse
	s.must("tunnel/readrecords", &protocol.ReadRecordsRequest{TunnelId: &j.tunnel, ClientId: &j.client,
		ChannelId: &j.channel, Token: at.Checkpoint}, &page)
	j.token = *page.NextToken
	s.must("tunnel/checkpoint", &protocol.CheckpointRequest{TunnelId: &j.tunnel, ClientId: &j.client,
		ChannelId: &j.channel, Checkpoint: &j.token, SequenceNumber: proto.Int64(1)}, nil)
	return j
}

// goesOn: the client is still known, its checkpoint too.
func (j *joined) goesOn(s *served) {
	var at protocol.GetCheckpointResponse
	s.must("tunnel/getcheckpoint", &protocol.GetCheckpointRequest{TunnelId: &j.tunnel, ClientId: &j.client,
		ChannelId: &j.channel}, &at)
	if at.GetCheckpoint() != j.token || at.GetSequenceNumber() != 1 {
		s.t.Fatalf("checkpoint %v", at)
	}
}
