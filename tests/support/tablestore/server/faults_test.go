// Every kind of fault does what it says, as often as it says.
package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel/protocol"
	"github.com/golang/protobuf/proto"
)

func TestFaultsWithACode(t *testing.T) {
	for kind, code := range faultKinds {
		if code == "" || kind == "row" {
			continue
		}
		door := house(t)
		order(t, door, "fault", `{"operation": "GetRange", "kind": "`+kind+`", "times": 2, "skip": 1}`)
		var codes []string
		for range 4 {
			codes = append(codes, ask(t, door, "GetRange", rangeOf(0), nil))
		}
		if codes[0] != "" || codes[1] != code || codes[2] != code || codes[3] != "" {
			t.Errorf("%s: %q", kind, codes)
		}
	}
}

func TestAFaultForOneTableSparesTheOthers(t *testing.T) {
	door := house(t)
	order(t, door, "fault", `{"operation": "*", "kind": "error", "table": "other", "code": "OTSTimeout"}`)
	if code := ask(t, door, "GetRange", rangeOf(0), nil); code != "" {
		t.Error(code)
	}
	if code := ask(t, door, "CreateTable", tableOf("another"), nil); code != "" {
		t.Error(code)
	}
	other := &otsprotocol.DescribeTableRequest{TableName: proto.String("other")}
	if code := ask(t, door, "DescribeTable", other, nil); code != "OTSTimeout" {
		t.Error(code)
	}
	if _, err := door.administer("fault", http.MethodDelete, nil); err != nil {
		t.Fatal(err)
	}
	if code := ask(t, door, "DescribeTable", other, nil); code != "OTSObjectNotExist" {
		t.Error(code)
	}
}

func TestRowsOfABatchFailAppliedOrNot(t *testing.T) {
	for _, applied := range []string{"false", "true"} {
		door := house(t)
		order(t, door, "fault", `{"operation": "BatchWriteRow", "kind": "row", "rows": [1, 2], "times": 1,
			"code": "OTSTimeout", "applied": `+applied+`}`)
		var answer otsprotocol.BatchWriteRowResponse
		ask(t, door, "BatchWriteRow", batchOf(1), &answer)
		for i, row := range answer.Tables[0].Rows {
			if bad := i == 1 || i == 2; row.GetIsOk() == bad || bad && row.Error.GetCode() != "OTSTimeout" {
				t.Errorf("row %d: %v", i, row)
			}
		}
		want := map[string]int{"false": 18, "true": 20}[applied]
		if found := door.world.tables["t"].rows.count; found != want {
			t.Errorf("applied %s: %d rows", applied, found)
		}
	}
}

// send goes through a real socket; err: no answer came.
func sendTo(t *testing.T, door *Door, verb string, request proto.Message) (*http.Response, error) {
	t.Helper()
	server := httptest.NewServer(door)
	defer server.Close()
	s := &served{t: t, endpoint: server.URL}
	in := s.request(verb, request)
	return http.DefaultTransport.RoundTrip(in)
}

func TestBrokenConnections(t *testing.T) {
	for kind, rows := range map[string]int{"cut": 20, "cut_before": 0} {
		door := house(t)
		order(t, door, "fault", `{"operation": "BatchWriteRow", "kind": "`+kind+`", "times": 1}`)
		if answer, err := sendTo(t, door, "BatchWriteRow", batchOf(1)); err == nil {
			t.Errorf("%s: %v", kind, answer)
		}
		if found := door.world.tables["t"].rows.count; found != rows {
			t.Errorf("%s: %d rows", kind, found)
		}
	}
}

func TestAProxyInFrontAnswers(t *testing.T) {
	door := house(t)
	order(t, door, "fault", `{"operation": "GetRange", "kind": "503", "times": 1}`)
	answer, err := sendTo(t, door, "GetRange", rangeOf(0))
	if err != nil || answer.StatusCode != 503 || answer.ContentLength != 0 || answer.Header.Get("x-ots-requestid") != "" {
		t.Errorf("%v %v", answer, err)
	}
}

func TestDamagedAnswers(t *testing.T) {
	door := house(t)
	ask(t, door, "PutRow", put(rowOf(1, textCell("a", 100))), nil)
	for _, kind := range []string{"corrupt", "signature"} {
		order(t, door, "fault", `{"operation": "GetRange", "kind": "`+kind+`", "times": 1}`)
		answer, err := sendTo(t, door, "GetRange", rangeOf(0))
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		body.ReadFrom(answer.Body)
		whole := md5Text(body.Bytes()) == answer.Header.Get("x-ots-contentmd5")
		signed := answer.Header.Get("Authorization") == "OTS ak:"+signAnswer("/GetRange", "sk", otsHeaders(answer.Header))
		if whole == (kind == "corrupt") || signed == (kind == "signature") {
			t.Errorf("%s: whole %v, signed %v", kind, whole, signed)
		}
	}
}

func TestSlowEmptyAndShortPages(t *testing.T) {
	door := house(t)
	for n := range 5 {
		ask(t, door, "PutRow", put(rowOf(n)), nil)
	}
	var answer otsprotocol.GetRangeResponse
	order(t, door, "fault", `{"operation": "GetRange", "kind": "empty_page", "times": 1}`)
	ask(t, door, "GetRange", rangeOf(0), &answer)
	if len(answer.Rows) != 0 || answer.NextStartPrimaryKey == nil {
		t.Errorf("%v", &answer)
	}
	answer.Reset()
	order(t, door, "fault", `{"operation": "GetRange", "kind": "short_page", "page_rows": 4, "times": 1}`)
	ask(t, door, "GetRange", rangeOf(0), &answer)
	if !bytes.Equal(answer.NextStartPrimaryKey, plainKey(keyNames, keyOf(4))) {
		t.Errorf("%v", &answer)
	}
	began := time.Now()
	order(t, door, "fault", `{"operation": "GetRange", "kind": "slow", "ms": 150, "times": 1}`)
	ask(t, door, "GetRange", rangeOf(0), &answer)
	if time.Since(began) < 150*time.Millisecond {
		t.Error("not slow")
	}
}

func TestAClockThatIsWrong(t *testing.T) {
	door := house(t)
	order(t, door, "fault", `{"operation": "*", "kind": "skew", "ms": 1000000, "times": 1}`)
	if code := ask(t, door, "GetRange", rangeOf(0), nil); code != "OTSAuthFailed" {
		t.Error(code)
	}
	order(t, door, "fault", `{"operation": "*", "kind": "skew", "ms": -600000, "times": 1}`)
	answer, err := sendTo(t, door, "GetRange", rangeOf(0))
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v %v", answer, err)
	}
	told, err := time.Parse(answerDate, answer.Header.Get("x-ots-date"))
	if off := time.Since(told); err != nil || off < 590*time.Second || off > 610*time.Second {
		t.Errorf("%v %v", off, err)
	}
}

func TestATunnelWhoseBaseTookTooLongExpires(t *testing.T) {
	door := house(t)
	ask(t, door, "PutRow", put(rowOf(1)), nil)
	var made protocol.CreateTunnelResponse
	ask(t, door, "tunnel/create", &protocol.CreateTunnelRequest{Tunnel: &protocol.Tunnel{TableName: proto.String("t"),
		TunnelName: proto.String("tun"), TunnelType: protocol.TunnelType_BaseAndStream.Enum()}}, &made)
	var client protocol.ConnectResponse
	ask(t, door, "tunnel/connect", &protocol.ConnectRequest{TunnelId: made.TunnelId}, &client)
	beat := &protocol.HeartbeatRequest{TunnelId: made.TunnelId, ClientId: client.ClientId}
	if code := ask(t, door, "tunnel/heartbeat", beat, nil); code != "" {
		t.Fatal(code)
	}
	order(t, door, "clock", `{"add_ms": 90000000}`)
	if code := ask(t, door, "tunnel/heartbeat", beat, nil); code != "OTSTunnelExpired" {
		t.Error(code)
	}
	if code := ask(t, door, "tunnel/connect", &protocol.ConnectRequest{TunnelId: made.TunnelId}, nil); code != "OTSTunnelExpired" {
		t.Error(code)
	}
}
