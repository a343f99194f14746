// Bench mode: writes are checked and dropped, pages of ranges and streams come from memory. Nothing is kept.
package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

// Pages of ranges that are kept ready.
const mostPages = 4096

type Bench struct {
	rowsWritten  atomic.Int64
	cellsWritten atomic.Int64
	bytesWritten atomic.Int64
	pagesRead    atomic.Int64
	bytesRead    atomic.Int64

	scratch sync.Pool
	mu      sync.RWMutex
	pages   map[string]benchPage // by operation and request
}

// benchPage is an answer ready to be sent.
type benchPage struct {
	body []byte
	sum  string
}

func newBench() *Bench {
	return &Bench{pages: map[string]benchPage{}, scratch: sync.Pool{New: func() any { return &benchScratch{keys: map[string]struct{}{}} }}}
}

// benchScratch is what checking a batch needs, used again and again.
type benchScratch struct {
	row   WireRow
	keys  map[string]struct{}
	cells int64
	rows  int64
	size  int64
}

// serve answers the calls that are to be fast; the others go the common way.
func (b *Bench) serve(d *Door, out http.ResponseWriter, v *visit) bool {
	if !d.faults.none() {
		return false
	}
	switch v.verb {
	case "BatchWriteRow", "BulkImport":
		b.write(d, out, v)
		return true
	case "GetRange", "BulkExport", "GetStreamRecord":
		b.read(d, out, v)
		return true
	}
	return false
}

func (b *Bench) write(d *Door, out http.ResponseWriter, v *visit) {
	s := b.scratch.Get().(*benchScratch)
	defer b.scratch.Put(s)
	s.cells, s.rows, s.size = 0, 0, 0
	d.world.mu.RLock()
	var answer []byte
	var failed *failure
	if v.verb == "BulkImport" {
		answer, failed = s.checkTable(d.world, v.body, 2)
	} else {
		for rest := v.body; len(rest) > 0 && failed == nil; {
			f, after, ok := nextField(rest)
			if !ok {
				failed = invalid("Invalid message.")
				break
			}
			rest = after
			if f.tag == 1 {
				var table []byte
				table, failed = s.checkTable(d.world, f.data, 2)
				answer = appendField(answer, 1, table)
			}
		}
	}
	d.world.mu.RUnlock()
	if failed == nil && (s.rows == 0 || s.rows > mostRowsWritten) {
		failed = invalid("Rows count exceeds the upper limit: %d, or there are none.", mostRowsWritten)
	}
	if failed != nil {
		d.fail(out, v, failed)
		return
	}
	b.rowsWritten.Add(s.rows)
	b.cellsWritten.Add(s.cells)
	b.bytesWritten.Add(s.size)
	d.answer(out, v, http.StatusOK, answer, md5Text(answer), nil)
}

// One row's success in an answer.
var benchSuccess = func() []byte {
	row, err := proto.Marshal(&otsprotocol.RowInBatchWriteRowResponse{IsOk: proto.Bool(true), Consumed: consumed(0, 1)})
	if err != nil {
		panic(err)
	}
	return row
}()

// checkTable checks the rows of one table of a batch as a real write would, but for conditions and old rows.
func (s *benchScratch) checkTable(w *World, message []byte, rowsTag int) ([]byte, *failure) {
	var table *Table
	var answer []byte
	clear(s.keys)
	for rest := message; len(rest) > 0; {
		f, after, ok := nextField(rest)
		if !ok {
			return nil, invalid("Invalid message.")
		}
		rest = after
		switch f.tag {
		case 1:
			if table = w.tables[string(f.data)]; table == nil {
				return nil, missing("Requested table does not exist.")
			}
			answer = appendField(answer, 1, f.data)
		case rowsTag:
			if table == nil {
				return nil, invalid("Rows without a table.")
			}
			if failed := s.checkRow(table, f.data); failed != nil {
				return nil, failed
			}
			answer = appendField(answer, 2, benchSuccess)
		}
	}
	return answer, nil
}

func (s *benchScratch) checkRow(table *Table, message []byte) *failure {
	kind, data := otsprotocol.OperationType(0), []byte(nil)
	for rest := message; len(rest) > 0; {
		f, after, ok := nextField(rest)
		if !ok {
			return invalid("Invalid message.")
		}
		rest = after
		switch f.tag {
		case 1:
			kind = otsprotocol.OperationType(f.number)
		case 2:
			data = f.data
		}
	}
	if err := readRow(data, &s.row); err != nil {
		return invalid("Invalid PlainBuffer: %v.", err)
	}
	key, failed := table.readKey(s.row.Key, false)
	if failed != nil {
		return failed
	}
	text := sortable(key)
	if _, twice := s.keys[text]; twice {
		return invalid("The primary key of some rows in table '%s' is duplicated.", table.name)
	}
	s.keys[text] = struct{}{}
	change := Change{table: table, kind: kind}
	if len(s.row.Cells) > mostColumnsAWrite {
		return refuse("OTSOutOfColumnCountLimit", "The number of columns from the request exceeded the limit.")
	}
	for i := range s.row.Cells {
		if failed := change.checkCell(&s.row.Cells[i]); failed != nil {
			return failed
		}
	}
	s.rows++
	s.cells += int64(len(s.row.Cells))
	s.size += int64(len(data))
	return nil
}

// read gives a page again that was asked for before; tables do not change in bench mode but by fill.
func (b *Bench) read(d *Door, out http.ResponseWriter, v *visit) {
	name := v.verb + "\x00" + string(v.body)
	b.mu.RLock()
	page, ready := b.pages[name]
	b.mu.RUnlock()
	if !ready {
		act := verbs[v.verb]
		request, err := act.read(v.body)
		if err != nil {
			d.fail(out, v, invalid("Invalid message: %v.", err))
			return
		}
		answer, failed := d.world.do(v.verb, act, request, v.body, &call{})
		if failed != nil {
			d.fail(out, v, failed)
			return
		}
		if page.body, err = proto.Marshal(answer); err != nil {
			panic(err)
		}
		page.sum = md5Text(page.body)
		b.mu.Lock()
		if len(b.pages) >= mostPages {
			clear(b.pages)
		}
		b.pages[name] = page
		b.mu.Unlock()
	}
	b.pagesRead.Add(1)
	b.bytesRead.Add(int64(len(page.body)))
	d.answer(out, v, http.StatusOK, page.body, page.sum, nil)
}

func (b *Bench) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.pages)
}

func (b *Bench) figures() any {
	return map[string]int64{"rows_written": b.rowsWritten.Load(), "cells_written": b.cellsWritten.Load(),
		"bytes_written": b.bytesWritten.Load(), "pages_read": b.pagesRead.Load(), "bytes_read": b.bytesRead.Load()}
}

// fill makes rows in a table, with their stream records where it has a stream; they are in no journal.
func (b *Bench) fill(w *World, body []byte) (any, error) {
	q := struct {
		Table   string `json:"table"`
		Rows    int    `json:"rows"`
		Columns int    `json:"columns"`
		Bytes   int    `json:"bytes"`
	}{Columns: 4, Bytes: 32}
	if err := strictly(body, &q); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tables[q.Table]
	if !ok {
		return nil, fmt.Errorf("no table %q", q.Table)
	}
	at := now(w)
	for n := range q.Rows {
		change := &Change{table: t, kind: otsprotocol.OperationType_PUT, primary: benchKey(t, n)}
		change.key = sortable(change.primary)
		for c := range q.Columns {
			text := fmt.Sprintf("%0*d", q.Bytes, n*31+c)
			change.cells = append(change.cells, WireCell{Name: fmt.Sprintf("c%02d", c), HasValue: true,
				Value: Value{Kind: kindString, Bytes: []byte(text)}})
		}
		if _, failed := change.apply(at); failed != nil {
			return nil, fmt.Errorf("%s: %s", failed.code, failed.message)
		}
	}
	b.forget()
	return map[string]int{"rows": t.rows.count}, nil
}

func benchKey(t *Table, n int) []Value {
	key := make([]Value, len(t.keyNames))
	for i, kind := range t.keyTypes {
		key[i] = integer(int64(n))
		if kind != otsprotocol.PrimaryKeyType_INTEGER {
			key[i] = Value{Kind: keyKinds[kind], Bytes: fmt.Appendf(nil, "k%012d", n)}
		}
	}
	return key
}
