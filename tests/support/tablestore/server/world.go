// The world: all tables and tunnels behind one lock, changed by requests only, so that a journal of requests is a copy.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/golang/protobuf/proto"
)

// moment is when a request is carried out. Data lives by the shifted clock, heartbeats by the wall's.
type moment struct {
	wall  int64 // ns
	shift int64 // ns
}

func now(w *World) moment { return moment{time.Now().UnixNano(), w.shift} }

func (m moment) nanos() int64  { return m.wall + m.shift }
func (m moment) micros() int64 { return m.nanos() / 1000 }
func (m moment) millis() int64 { return m.nanos() / 1_000_000 }

// Settings can be changed by hand while the server runs.
type Settings struct {
	ReadyAfterMs      int64 `json:"ready_after_ms"`
	SplitPauseMs      int64 `json:"split_pause_ms"`
	PageRows          int   `json:"page_rows"`
	PageBytes         int   `json:"page_bytes"`
	StreamPageRecords int   `json:"stream_page_records"`
	BasePageRows      int   `json:"base_page_rows"`
	BaseChannels      int   `json:"base_channels"`
	TableCallsPerSec  int   `json:"table_calls_per_second"`
	// Each answer of GetStreamRecord has a new iterator, also when there was nothing new.
	FreshIterators bool `json:"fresh_iterators"`
	// GetShardIterator with a time may point this much behind it, and some records before it.
	IteratorLateMs int64 `json:"iterator_late_ms"`
	// A delete hides puts of the same row whose cells are not newer than it.
	Tombstones bool `json:"tombstones"`
}

func defaults() Settings {
	return Settings{
		ReadyAfterMs:      200,
		SplitPauseMs:      50,
		PageRows:          5000,
		PageBytes:         4 << 20,
		StreamPageRecords: 1000,
		BasePageRows:      1000,
		BaseChannels:      2,
		TableCallsPerSec:  10,
		IteratorLateMs:    300_000,
	}
}

type World struct {
	mu       sync.RWMutex
	instance string
	settings Settings
	shift    int64
	tables   map[string]*Table
	tunnels  map[string]*Tunnel
	given    int64 // ids handed out
	journal  *Journal
}

func newWorld(instance string) *World {
	return &World{
		instance: instance,
		settings: defaults(),
		tables:   map[string]*Table{},
		tunnels:  map[string]*Tunnel{},
	}
}

// call is one request on its way through a verb.
type call struct {
	at moment
	note
	replayed  bool
	emptyPage bool
	pageRows  int
	token     bool
}

// verb is an operation: how its request is read, and what it does.
type verb struct {
	changes bool
	read    func([]byte) (proto.Message, error)
	run     func(*World, proto.Message, *call) (proto.Message, *failure)
}

type message[Q any] interface {
	*Q
	proto.Message
}

func makeVerb[Q any, P message[Q]](changes bool, run func(*World, P, *call) (proto.Message, *failure)) verb {
	return verb{
		changes: changes,
		read: func(body []byte) (proto.Message, error) {
			request := P(new(Q))
			err := proto.Unmarshal(body, request)
			return request, err
		},
		run: func(w *World, request proto.Message, c *call) (proto.Message, *failure) {
			return run(w, request.(P), c)
		},
	}
}

func reading[Q any, P message[Q]](run func(*World, P, *call) (proto.Message, *failure)) verb {
	return makeVerb(false, run)
}

func changing[Q any, P message[Q]](run func(*World, P, *call) (proto.Message, *failure)) verb {
	return makeVerb(true, run)
}

// do carries a request out; a change is in the journal before anybody hears of it.
func (w *World) do(name string, v verb, request proto.Message, body []byte, c *call) (proto.Message, *failure) {
	if !v.changes {
		w.mu.RLock()
		defer w.mu.RUnlock()
		c.at = now(w)
		return v.run(w, request, c)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.at = now(w)
	given := w.given
	answer, failed := v.run(w, request, c)
	if failed != nil {
		// Nobody saw the ids of a refused request, and a replay will not draw them.
		w.given = given
		return nil, failed
	}
	w.record(&Entry{At: c.at, Verb: name, Note: c.note, Body: body})
	return answer, nil
}

func (w *World) record(entry *Entry) {
	if err := w.journal.write(entry); err != nil {
		// The memory is ahead of the disk now: an answer would be a lie.
		log.Fatalf("the journal takes no more: %v", err)
	}
}

// replay carries an entry of the journal out again.
func (w *World) replay(entry *Entry) error {
	if act, known := acts[entry.Verb]; known {
		_, err := act(w, entry.Body, entry.At)
		return err
	}
	v, known := verbs[entry.Verb]
	if !known {
		return fmt.Errorf("unknown operation %q", entry.Verb)
	}
	request, err := v.read(entry.Body)
	if err != nil && !lacksOnlyFields(err) {
		return err
	}
	if _, failed := v.run(w, request, &call{at: entry.At, note: entry.Note, replayed: true}); failed != nil {
		return fmt.Errorf("%s was accepted and is now refused: %s %s", entry.Verb, failed.code, failed.message)
	}
	return nil
}

// newID gives ids that look random, do not sort by age and are the same at every replay.
func (w *World) newID(of string) string {
	w.given++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", w.instance, of, w.given))
	text := hex.EncodeToString(sum[:16])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
