// A stored row: its key, its columns by name, the versions of each column newest first. Never changed, only replaced.
package main

import (
	"slices"
	"sort"
	"strings"
)

type Row struct {
	Key       string // sortable
	Primary   []Value
	Columns   []Column // by name
	TouchedMs int64
	Size      int
}

type Column struct {
	Name  string
	Cells []Cell // newest first, never empty
}

type Cell struct {
	Time  int64 // ms
	Value Value
}

func (r *Row) place(name string) (int, bool) {
	i := sort.Search(len(r.Columns), func(i int) bool { return r.Columns[i].Name >= name })
	return i, i < len(r.Columns) && r.Columns[i].Name == name
}

func (r *Row) column(name string) *Column {
	if i, found := r.place(name); found {
		return &r.Columns[i]
	}
	return nil
}

// copied can be changed by putCell and its kin without the original noticing.
func (r *Row) copied() *Row {
	row := *r
	row.Columns = slices.Clone(r.Columns)
	return &row
}

func (r *Row) putCell(name string, cell Cell, maxVersions int) {
	i, found := r.place(name)
	if !found {
		r.Columns = slices.Insert(r.Columns, i, Column{strings.Clone(name), []Cell{cell}})
		return
	}
	cells := r.Columns[i].Cells
	at := sort.Search(len(cells), func(i int) bool { return cells[i].Time <= cell.Time })
	fresh := make([]Cell, 0, len(cells)+1)
	fresh = append(append(fresh, cells[:at]...), cell)
	if at < len(cells) && cells[at].Time == cell.Time {
		at++ // the later write of one timestamp wins
	}
	fresh = append(fresh, cells[at:]...)
	r.Columns[i].Cells = fresh[:min(len(fresh), maxVersions)]
}

func (r *Row) deleteColumn(name string) {
	if i, found := r.place(name); found {
		r.Columns = slices.Delete(r.Columns, i, i+1)
	}
}

func (r *Row) deleteCell(name string, time int64) {
	i, found := r.place(name)
	if !found {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(r.Columns[i].Cells), func(c Cell) bool { return c.Time == time })
	if len(kept) == 0 {
		r.Columns = slices.Delete(r.Columns, i, i+1)
	} else {
		r.Columns[i].Cells = kept
	}
}

func (r *Row) measure() {
	r.Size = 0
	for i := range r.Primary {
		r.Size += 4 + r.Primary[i].size()
	}
	for i := range r.Columns {
		for j := range r.Columns[i].Cells {
			r.Size += len(r.Columns[i].Name) + 8 + r.Columns[i].Cells[j].Value.size()
		}
	}
}

// oldestMs is the time before which cells are invisible.
func (o *options) oldestMs(nowMs int64) int64 {
	if o.ttlSeconds < 0 {
		return -1 << 62
	}
	return nowMs - int64(o.ttlSeconds)*1000
}

// alive: a row is gone when the last of its cells is, and one without cells when it was last written that long ago.
func (r *Row) alive(oldestMs int64) bool {
	if len(r.Columns) == 0 {
		return r.TouchedMs >= oldestMs
	}
	for i := range r.Columns {
		if r.Columns[i].Cells[0].Time >= oldestMs {
			return true
		}
	}
	return false
}

// live is the row as of now, without what is too old, or nil.
func (t *Table) live(key string, nowMs int64) *Row {
	row := t.rows.get(key)
	oldest := t.options.oldestMs(nowMs)
	if row == nil || t.options.ttlSeconds < 0 {
		return row
	}
	if !row.alive(oldest) {
		return nil
	}
	kept := *row
	kept.Columns = nil
	for _, column := range row.Columns {
		n := sort.Search(len(column.Cells), func(i int) bool { return column.Cells[i].Time < oldest })
		if n > 0 {
			kept.Columns = append(kept.Columns, Column{column.Name, column.Cells[:n]})
		}
	}
	return &kept
}
