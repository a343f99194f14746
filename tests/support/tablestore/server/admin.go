// The admin calls: faults, clock, settings, partitions, tunnels, figures. JSON in, JSON out, loopback only by default.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

func (d *Door) admin(out http.ResponseWriter, in *http.Request) {
	name := strings.TrimPrefix(in.URL.Path, "/_admin/")
	body, err := io.ReadAll(in.Body)
	var answer any
	if err == nil {
		answer, err = d.administer(name, in.Method, body)
	}
	out.Header().Set("Content-Type", "application/json")
	if err != nil {
		out.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"error": err.Error()}
	}
	json.NewEncoder(out).Encode(answer)
}

func (d *Door) administer(name, method string, body []byte) (any, error) {
	w := d.world
	if len(body) == 0 {
		body = []byte("{}")
	}
	if _, known := acts[name]; known {
		if d.bench != nil {
			defer d.bench.forget()
		}
		return w.act(name, body)
	}
	switch name {
	case "fault":
		if method == http.MethodDelete {
			d.faults.clear()
			return map[string]bool{"ok": true}, nil
		}
		fault := &Fault{}
		if err := strictly(body, fault); err != nil {
			return nil, err
		}
		if failed := d.faults.add(fault); failed != nil {
			return nil, fmt.Errorf("%s", failed.message)
		}
		return map[string]bool{"ok": true}, nil
	case "faults":
		return d.faults.left(), nil
	case "stats":
		return d.stats(), nil
	case "reset":
		d.reset()
		return map[string]bool{"ok": true}, nil
	case "fill":
		if d.bench == nil {
			return nil, fmt.Errorf("only with --bench")
		}
		return d.bench.fill(w, body)
	}
	return nil, fmt.Errorf("unknown admin call %q", name)
}

// strictly refuses a misspelt field.
func strictly(body []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func cpuTime() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// reset begins a new measurement.
func (d *Door) reset() {
	d.measured.Store(&measure{time.Now(), cpuTime(), d.requests.Load()})
}

// measure is what is subtracted from the figures.
type measure struct {
	began    time.Time
	cpu      time.Duration
	requests int64
}

func (d *Door) stats() map[string]any {
	since := d.measured.Load()
	cpu := cpuTime() - since.cpu
	wall := time.Since(since.began)
	w := d.world
	w.mu.RLock()
	defer w.mu.RUnlock()
	tables, tunnels := map[string]any{}, map[string]any{}
	for name, t := range w.tables {
		told := map[string]any{"rows": t.rows.count, "partitions": len(t.partitions)}
		if t.stream != nil {
			shards := []map[string]any{}
			for _, s := range t.stream.shards {
				shards = append(shards, map[string]any{"id": s.id, "parents": s.parents, "closed": s.closedUs > 0,
					"first": s.base, "end": s.end()})
			}
			told["stream"], told["shards"] = t.stream.id, shards
		}
		tables[name] = told
	}
	for _, t := range w.tunnels {
		tunnels[t.name] = map[string]any{"id": t.id, "table": t.table, "expired": t.expired,
			"clients": t.joined, "channels": strings.Split(t.tell(), "\n"), "ended_without_checkpoint": t.doubtful}
	}
	told := map[string]any{
		"requests": d.requests.Load() - since.requests, "cpu_seconds": cpu.Seconds(), "wall_seconds": wall.Seconds(),
		"cpu_share": cpu.Seconds() / wall.Seconds(), "tables": tables, "tunnels": tunnels,
		"clock_shift_ms": w.shift / 1_000_000, "settings": w.settings,
	}
	if d.bench != nil {
		told["bench"] = d.bench.figures()
	}
	return told
}
