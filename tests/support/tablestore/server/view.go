// What a read shows of a row: columns, versions, times, filter.
package main

import (
	"slices"
	"sort"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
)

const mostColumnsToGet = 128

type viewRequest struct {
	columns     []string
	times       *otsprotocol.TimeRange
	maxVersions *int32
	filter      []byte
	startColumn *string
	endColumn   *string
}

type view struct {
	table         *Table
	wanted        map[string]bool // nil: all
	withoutAny    bool            // rows without any wanted column count too
	startMs       int64
	endMs         int64
	versions      int
	filter        *filter
	startColumn   string
	endColumn     *string
	oldestAliveMs int64
}

func (t *Table) view(q viewRequest, at moment) (*view, *failure) {
	v := &view{table: t, startMs: -1 << 62, endMs: 1 << 62, versions: 1 << 30, endColumn: q.endColumn}
	if q.maxVersions == nil && q.times == nil {
		return nil, invalid("No version condition is specified while querying row.")
	}
	if q.maxVersions != nil {
		if v.versions = int(*q.maxVersions); v.versions < 1 {
			return nil, invalid("The max versions must be at least 1.")
		}
	}
	if failed := v.limitTimes(q.times); failed != nil {
		return nil, failed
	}
	v.versions = min(v.versions, int(t.options.maxVersions))
	v.oldestAliveMs = t.options.oldestMs(at.millis())
	v.startMs = max(v.startMs, v.oldestAliveMs)
	if len(q.columns) > mostColumnsToGet {
		return nil, invalid("The number of columns to get exceeds %d.", mostColumnsToGet)
	}
	if len(q.columns) > 0 {
		v.wanted = map[string]bool{}
		for _, name := range q.columns {
			v.wanted[name] = true
			v.withoutAny = v.withoutAny || slices.Contains(t.keyNames, name)
		}
	} else {
		v.withoutAny = true
	}
	if q.startColumn != nil {
		v.startColumn = *q.startColumn
	}
	if len(q.filter) > 0 {
		var failed *failure
		if v.filter, failed = readFilter(q.filter); failed != nil {
			return nil, failed
		}
	}
	return v, nil
}

func (v *view) limitTimes(times *otsprotocol.TimeRange) *failure {
	if times == nil {
		return nil
	}
	if times.SpecificTime != nil {
		if times.StartTime != nil || times.EndTime != nil {
			return invalid("A time range has either one time or two ends.")
		}
		v.startMs, v.endMs = *times.SpecificTime, *times.SpecificTime+1
		return nil
	}
	if times.StartTime == nil || times.EndTime == nil || *times.StartTime >= *times.EndTime {
		return invalid("A time range needs a start before its end.")
	}
	v.startMs, v.endMs = *times.StartTime, *times.EndTime
	return nil
}

// shown is what the reader sees of the row, or nil.
func (v *view) shown(row *Row) []Column {
	if !row.alive(v.oldestAliveMs) {
		return nil
	}
	columns := make([]Column, 0, len(row.Columns))
	for i := range row.Columns {
		column := &row.Columns[i]
		if v.wanted != nil && !v.wanted[column.Name] || column.Name < v.startColumn ||
			v.endColumn != nil && column.Name >= *v.endColumn {
			continue
		}
		cells := column.Cells
		from := sort.Search(len(cells), func(i int) bool { return cells[i].Time < v.endMs })
		to := sort.Search(len(cells), func(i int) bool { return cells[i].Time < v.startMs })
		if from < to {
			columns = append(columns, Column{column.Name, cells[from:min(to, from+v.versions)]})
		}
	}
	if v.filter != nil {
		if !v.filter.passes(&Row{Columns: columns}) {
			return nil
		}
		columns = v.filter.paginate(columns)
	}
	if len(columns) == 0 && !v.withoutAny {
		return nil
	}
	return columns
}

// write adds the row to an answer, if anything of it is to be shown.
func (v *view) write(p *plainRow, row *Row) bool {
	columns := v.shown(row)
	if columns == nil {
		return false
	}
	p.key(v.table.keyNames, row.Primary)
	for i := range columns {
		for j := range columns[i].Cells {
			cell := &columns[i].Cells[j]
			p.cell(columns[i].Name, &cell.Value, opPut, &cell.Time)
		}
	}
	p.end(nil)
	return true
}
