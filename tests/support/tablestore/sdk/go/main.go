// Everything that the official Go SDK can do with our server.   trial ENDPOINT
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"runtime"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

var (
	endpoint string
	client   *ots.TableStoreClient
)

// fail ends the program at the first surprise.
func fail(format string, arguments ...any) {
	_, file, line, _ := runtime.Caller(2)
	fmt.Fprintf(os.Stderr, "%s:%d: %s\n", file, line, fmt.Sprintf(format, arguments...))
	os.Exit(1)
}

func good(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func same(found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		fail("found %v, wanted %v", found, wanted)
	}
}

func refused(err error, code string) {
	failed, ok := err.(*ots.OtsError)
	if !ok || failed.Code != code {
		fail("not refused with %s but %v", code, err)
	}
}

// admin calls the server's own side door and gives its answer.
func admin(name string, order map[string]any) map[string]any {
	body, _ := json.Marshal(order)
	answer, err := http.Post(endpoint+"/_admin/"+name, "application/json", bytes.NewReader(body))
	good(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	good(err)
	if answer.StatusCode != 200 {
		fail("%s: %s", name, text)
	}
	var told map[string]any
	good(json.Unmarshal(text, &told))
	return told
}

func main() {
	endpoint = os.Args[1]
	client = ots.NewClient(endpoint, "inst", "ak", "sk")
	admin("settings", map[string]any{"ready_after_ms": 20, "table_calls_per_second": 0})
	steps := []struct {
		name string
		step func()
	}{
		{"table", table}, {"row", row}, {"update", update}, {"condition", condition}, {"auto_increment", autoIncrement},
		{"batch", batch}, {"batch_refused", batchRefused}, {"range", ranges}, {"matrix", matrix},
		{"split_points", splitPoints}, {"index", index}, {"signature_v4", signatureV4}, {"ttl", ttl},
		{"stream_records", streamRecords}, {"stream_splits_and_merges", streamSplitsAndMerges},
		{"stream_trimmed", streamTrimmed}, {"stream_off_and_on", streamOffAndOn},
		{"tunnel_calls", tunnelCalls}, {"tunnel_base", tunnelBase}, {"tunnel_stream", tunnelStream},
		{"tunnel_base_and_stream", tunnelBaseAndStream}, {"tunnel_resumed", tunnelResumed},
		{"tunnel_expired", tunnelExpired},
	}
	only := os.Args[2:]
	for _, s := range steps {
		if len(only) > 0 && only[0] != s.name {
			continue
		}
		s.step()
		fmt.Println("ok", s.name)
	}
}
