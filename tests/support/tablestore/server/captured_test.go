// The requests that the official SDKs send, byte for byte: admitted, read, and the simple ones carried out.
package main

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const captured = "../../../data/tablestore/requests"

// capture is one request as it came out of a socket.
type capture struct {
	name string
	head []byte
	body []byte
}

func captures(t *testing.T) []capture {
	t.Helper()
	names, err := filepath.Glob(captured + "/*/*.http-headers.txt")
	if err != nil || len(names) != 125 {
		t.Fatalf("125 captured requests, found %d, %v", len(names), err)
	}
	var all []capture
	for _, name := range names {
		head, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(strings.TrimSuffix(name, ".http-headers.txt") + ".body.bin")
		if err != nil {
			t.Fatal(err)
		}
		short := strings.TrimSuffix(strings.TrimPrefix(name, captured+"/"), ".http-headers.txt")
		all = append(all, capture{short, head, body})
	}
	return all
}

func (c *capture) request(t *testing.T) *http.Request {
	t.Helper()
	whole := append(bytes.Clone(c.head), c.body...)
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(whole)))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return request
}

// doorAt is a door whose clock shows what the request says.
func doorAt(request *http.Request) *Door {
	door := newDoor(newWorld("inst"), "ak", "sk")
	door.world.settings.ReadyAfterMs = 0
	door.world.settings.TableCallsPerSec = 0
	setClock(door, request)
	return door
}

func setClock(door *Door, request *http.Request) {
	date, _ := requestDate(request.Header.Get("x-ots-date"))
	door.clock = func() time.Time { return date }
}

func TestEveryCapturedRequestIsAdmittedAndRead(t *testing.T) {
	for _, c := range captures(t) {
		request := c.request(t)
		door := doorAt(request)
		v := &visit{path: request.URL.Path, verb: strings.TrimPrefix(request.URL.Path, "/"),
			headers: otsHeaders(request.Header)}
		var failed *failure
		if v.raw, failed = readBody(request); failed == nil {
			failed = door.admit(v, request.Method)
		}
		if failed != nil {
			t.Errorf("%s: %s %s", c.name, failed.code, failed.message)
			continue
		}
		act, known := verbs[v.verb]
		if !known {
			t.Errorf("%s: no operation %s", c.name, v.verb)
			continue
		}
		if _, err := act.read(v.body); err != nil && !lacksOnlyFields(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAChangedRequestIsRefused(t *testing.T) {
	for _, c := range captures(t) {
		changed := c
		changed.head = bytes.Replace(c.head, []byte(":inst\r\n"), []byte(":inst2\r\n"), 1)
		if bytes.Equal(changed.head, c.head) {
			changed.head = bytes.Replace(c.head, []byte(": inst\r\n"), []byte(": inst2\r\n"), 1)
		}
		request := changed.request(t)
		answer := httptest.NewRecorder()
		doorAt(request).ServeHTTP(answer, request)
		if answer.Code != 403 {
			t.Errorf("%s: %d after a header was changed", c.name, answer.Code)
		}
	}
}

// The calls of one SDK in an order that makes sense, each answered with 200 and an answer that can be checked.
func TestCapturedRequestsAreCarriedOut(t *testing.T) {
	order := []string{"CreateTable", "CreateTable_autoinc", "ListTable", "DescribeTable", "UpdateTable", "UpdateTable_stream",
		"PutRow", "PutRow_extremes", "PutRow_autoinc", "PutRow_condition", "UpdateRow", "GetRow", "GetRow_v4",
		"GetRow_filter_timerange", "BatchGetRow", "BulkImport", "BulkExport", "GetRange", "GetRange_backward",
		"GetRange_matrix_hint", "GetRange_response_compress", "PutRow_compressed", "PutRow_async", "GetRange_async",
		"ComputeSplitPointsBySize", "ListStream", "tunnel_create", "tunnel_create_earliest", "tunnel_list",
		"tunnel_list_v4", "tunnel_describe", "tunnel_delete", "DeleteRow", "DeleteTable"}
	bySDK := map[string]map[string]capture{}
	for _, c := range captures(t) {
		sdk, name, _ := strings.Cut(c.name, "/")
		if bySDK[sdk] == nil {
			bySDK[sdk] = map[string]capture{}
		}
		bySDK[sdk][name] = c
	}
	for sdk, calls := range bySDK {
		var door *Door
		for _, name := range order {
			c, ok := calls[name]
			if !ok {
				continue
			}
			request := c.request(t)
			if door == nil {
				door = doorAt(request)
				// The deviation of cell times, which some set to a day only, is counted from the capture.
				door.world.shift = door.clock().UnixNano() - time.Now().UnixNano()
			}
			setClock(door, request)
			answer := httptest.NewRecorder()
			door.ServeHTTP(answer, request)
			if answer.Code != 200 {
				t.Errorf("%s/%s: %d %q", sdk, name, answer.Code, answer.Body)
			}
		}
	}
}
