// Faults on demand: the next requests of an operation go wrong in a chosen way.
package main

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

// Fault is one order for trouble.
type Fault struct {
	// Path of the operation without its first slash ("tunnel/heartbeat"), "*" for all.
	Operation string `json:"operation"`
	Kind      string `json:"kind"`
	// How many requests it hits; 0: until cleared.
	Times int `json:"times"`
	// How many matching requests pass before it begins.
	Skip  int    `json:"skip"`
	Table string `json:"table"`
	Code  string `json:"code"`
	// Rows of a batch that fail, counted over all its tables; Every: each n-th row.
	Rows  []int `json:"rows"`
	Every int   `json:"every"`
	// The failing rows are written all the same (an unsure answer).
	Applied bool  `json:"applied"`
	Ms      int64 `json:"ms"`
	PageRow int   `json:"page_rows"`

	hit     int
	matched int
}

// Kinds and the code each has when none is given.
var faultKinds = map[string]string{
	"row":        "OTSServerBusy",
	"error":      "OTSServerBusy",
	"throttle":   "OTSNotEnoughCapacityUnit",
	"trimmed":    "OTSTrimmedDataAccess",
	"expired":    "OTSTunnelExpired",
	"sequence":   "OTSSequenceNumberNotMatch",
	"gone":       "OTSResourceGone",
	"503":        "",
	"cut":        "",
	"cut_before": "",
	"slow":       "",
	"empty_page": "",
	"short_page": "",
	"skew":       "",
	"corrupt":    "",
	"signature":  "",
	"again":      "",
}

type Faults struct {
	mu   sync.Mutex
	list []*Fault
}

func (f *Faults) add(fault *Fault) *failure {
	code, known := faultKinds[fault.Kind]
	if !known {
		return invalid("unknown kind of fault %q", fault.Kind)
	}
	if fault.Operation == "" {
		return invalid("a fault needs an operation, or \"*\"")
	}
	if fault.Code == "" {
		fault.Code = code
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fault)
	return nil
}

func (f *Faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
}

// left tells each waiting fault and how often it hit.
func (f *Faults) left() []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []map[string]any{}
	for _, fault := range f.list {
		all = append(all, map[string]any{"operation": fault.Operation, "kind": fault.Kind, "table": fault.Table,
			"times": fault.Times, "hit": fault.hit})
	}
	return all
}

func (f *Faults) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.list) == 0
}

// use takes the first fault that fits, and counts.
func (f *Faults) use(fits func(*Fault) bool) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.list {
		if !fits(fault) {
			continue
		}
		if fault.matched++; fault.matched <= fault.Skip {
			continue
		}
		if fault.hit++; fault.Times > 0 && fault.hit >= fault.Times {
			f.list = slices.Delete(f.list, i, i+1)
		}
		return fault
	}
	return nil
}

func (f *Fault) concerns(verb string) bool { return f.Operation == "*" || f.Operation == verb }

func (f *Faults) take(verb string, request proto.Message) *Fault {
	return f.use(func(fault *Fault) bool {
		return fault.Kind != "skew" && fault.concerns(verb) &&
			(fault.Table == "" || slices.Contains(tablesOf(request), fault.Table))
	})
}

// skew is how far the door's clock is off for this request.
func (f *Faults) skew(verb string) int64 {
	if fault := f.use(func(fault *Fault) bool { return fault.Kind == "skew" && fault.concerns(verb) }); fault != nil {
		return fault.Ms
	}
	return 0
}

func tablesOf(request proto.Message) []string {
	switch q := request.(type) {
	case interface{ GetTableName() string }:
		return []string{q.GetTableName()}
	case *otsprotocol.BatchWriteRowRequest:
		var names []string
		for _, part := range q.Tables {
			names = append(names, part.GetTableName())
		}
		return names
	case *otsprotocol.BatchGetRowRequest:
		var names []string
		for _, part := range q.Tables {
			names = append(names, part.GetTableName())
		}
		return names
	}
	return nil
}

// before acts ahead of the operation; true: the request has its answer already.
func (f *Fault) before(d *Door, out http.ResponseWriter, v *visit, c *call) bool {
	switch f.Kind {
	case "row":
		c.FailedRows = f.failedRows()
	case "503":
		// From something in front of the service: no headers, no body.
		out.Header()["Content-Type"] = nil
		out.WriteHeader(http.StatusServiceUnavailable)
		return true
	case "cut_before":
		panic(http.ErrAbortHandler)
	case "slow":
		time.Sleep(time.Duration(f.Ms) * time.Millisecond)
	case "empty_page":
		c.emptyPage = true
	case "short_page":
		c.pageRows = max(f.PageRow, 1)
	case "again":
		c.token = true
	case "error", "throttle", "trimmed", "expired", "sequence", "gone":
		d.fail(out, v, refuse(f.Code, "Injected."))
		return true
	}
	return false
}

func (f *Fault) failedRows() map[int]string {
	code := f.Code
	if f.Applied {
		code = appliedAllTheSame + code
	}
	failed := map[int]string{}
	for _, row := range f.Rows {
		failed[row] = code
	}
	for row := 0; f.Every > 0 && row < mostRowsWritten; row += f.Every {
		failed[row] = code
	}
	if len(failed) == 0 {
		failed[0] = code
	}
	return failed
}

// after cuts the connection when the work is done and nobody has heard of it.
func (f *Fault) after(http.ResponseWriter) bool {
	if f.Kind == "cut" {
		panic(http.ErrAbortHandler)
	}
	return false
}

// spoil damages an answer on its way.
func (f *Fault) spoil(body []byte, signature string) ([]byte, string) {
	switch {
	case f.Kind == "corrupt" && len(body) > 0:
		body = slices.Clone(body)
		body[len(body)/2] ^= 0x20
	case f.Kind == "signature":
		signature = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
	}
	return body, signature
}
