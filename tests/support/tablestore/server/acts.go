// Admin calls that change the world: in the journal like any request.
package main

import (
	"fmt"
	"maps"
	"slices"
)

var acts map[string]func(*World, []byte, moment) (any, error)

func init() {
	acts = map[string]func(*World, []byte, moment) (any, error){
		"split": actSplit, "merge": actMerge, "trim": actTrim, "retention": actRetention, "clock": actClock,
		"settings": actSettings, "rebalance": actRebalance, "expire": actExpire,
	}
}

func (w *World) act(name string, body []byte) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := now(w)
	given := w.given
	answer, err := acts[name](w, body, at)
	if err != nil {
		w.given = given
		return nil, err
	}
	w.record(&Entry{At: at, Verb: name, Body: body})
	return answer, nil
}

func done(failed *failure) (any, error) {
	if failed != nil {
		return nil, fmt.Errorf("%s: %s", failed.code, failed.message)
	}
	return map[string]bool{"ok": true}, nil
}

// place names a point of a table by a value of its first key column: a number, a text, or hex digits.
type place struct {
	Table string `json:"table"`
	At    any    `json:"at"`
}

func (w *World) placed(body []byte) (*Table, Value, error) {
	var p place
	if err := strictly(body, &p); err != nil {
		return nil, Value{}, err
	}
	t, ok := w.tables[p.Table]
	if !ok {
		return nil, Value{}, fmt.Errorf("no table %q", p.Table)
	}
	var value Value
	kind := keyKinds[t.keyTypes[0]]
	switch at := p.At.(type) {
	case float64:
		value = integer(int64(at))
	case string:
		value = Value{Kind: kind, Bytes: []byte(at)}
		if kind == kindBlob {
			value.Bytes = nil
			if _, err := fmt.Sscanf(at, "%x", &value.Bytes); err != nil {
				return nil, value, fmt.Errorf("not hex: %q", at)
			}
		}
	}
	if value.Kind != kind || p.At == nil {
		return nil, value, fmt.Errorf("\"at\" is not of the first key column's type")
	}
	return t, value, nil
}

func actSplit(w *World, body []byte, at moment) (any, error) {
	t, value, err := w.placed(body)
	if err != nil {
		return nil, err
	}
	return done(t.split(w, value, at))
}

func actMerge(w *World, body []byte, at moment) (any, error) {
	t, value, err := w.placed(body)
	if err != nil {
		return nil, err
	}
	return done(t.merge(w, value, at))
}

// actTrim forgets all records of a stream but the newest so many of each shard.
func actTrim(w *World, body []byte, at moment) (any, error) {
	var q struct {
		Table string `json:"table"`
		Keep  int    `json:"keep"`
	}
	if err := strictly(body, &q); err != nil {
		return nil, err
	}
	t, ok := w.tables[q.Table]
	if !ok || t.stream == nil {
		return nil, fmt.Errorf("no table %q with a stream", q.Table)
	}
	trimmed := 0
	for _, shard := range t.stream.shards {
		if n := len(shard.records) - q.Keep; n > 0 {
			shard.base += int64(n)
			shard.records = shard.records[n:]
			trimmed += n
		}
	}
	return map[string]int{"trimmed": trimmed}, nil
}

func actRetention(w *World, body []byte, at moment) (any, error) {
	var q struct {
		Table string `json:"table"`
		Hours int32  `json:"hours"`
	}
	if err := strictly(body, &q); err != nil {
		return nil, err
	}
	t, ok := w.tables[q.Table]
	if !ok || t.stream == nil {
		return nil, fmt.Errorf("no table %q with a stream", q.Table)
	}
	t.stream.hours = q.Hours
	return done(nil)
}

// actClock shifts the clock of the data: cell times, records, TTL, retention. Request dates keep the real time.
func actClock(w *World, body []byte, at moment) (any, error) {
	var q struct {
		ShiftMs *int64 `json:"shift_ms"`
		AddMs   int64  `json:"add_ms"`
	}
	if err := strictly(body, &q); err != nil {
		return nil, err
	}
	if q.ShiftMs != nil {
		w.shift = *q.ShiftMs * 1_000_000
	}
	w.shift += q.AddMs * 1_000_000
	return map[string]int64{"shift_ms": w.shift / 1_000_000}, nil
}

// actSettings changes the settings that are named.
func actSettings(w *World, body []byte, _ moment) (any, error) {
	changed := w.settings
	if err := strictly(body, &changed); err != nil {
		return nil, err
	}
	if changed.Tombstones != w.settings.Tombstones {
		for _, t := range w.tables {
			t.deletedMs = nil
			if changed.Tombstones {
				t.deletedMs = map[string]int64{}
			}
		}
	}
	w.settings = changed
	return changed, nil
}

func (w *World) tunnelByName(body []byte) (*Tunnel, string, string, error) {
	var q struct {
		Tunnel  string `json:"tunnel"`
		Client  string `json:"client"`
		Channel string `json:"channel"`
	}
	if err := strictly(body, &q); err != nil {
		return nil, "", "", err
	}
	// The same one at every replay, should two tables have a tunnel of that name.
	for _, id := range slices.Sorted(maps.Keys(w.tunnels)) {
		t := w.tunnels[id]
		if t.name == q.Tunnel || t.id == q.Tunnel {
			return t, q.Client, q.Channel, nil
		}
	}
	return nil, "", "", fmt.Errorf("no tunnel %q", q.Tunnel)
}

func actRebalance(w *World, body []byte, _ moment) (any, error) {
	t, client, channel, err := w.tunnelByName(body)
	if err != nil {
		return nil, err
	}
	return map[string]int{"closing": t.rebalance(client, channel)}, nil
}

func actExpire(w *World, body []byte, _ moment) (any, error) {
	t, _, _, err := w.tunnelByName(body)
	if err != nil {
		return nil, err
	}
	t.expired = true
	return done(nil)
}
