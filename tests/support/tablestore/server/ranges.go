// GetRange and BulkExport: pages of rows in key order.
package main

import (
	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

// scan is one page being made.
type scan struct {
	view     *view
	start    string
	end      string
	backward bool
	limit    int // rows to return, 0: any number
	mostRows int // rows to look at
	mostSize int
	empty    bool // no row, but a next key
}

// page is what a scan found.
type page struct {
	rows []*Row
	size int
	next []Value // nil: the end is reached
}

func (t *Table) readBounds(startData, endData []byte, backward bool) (start, end string, failed *failure) {
	var keys [2]string
	for i, data := range [][]byte{startData, endData} {
		var row WireRow
		if err := readRow(data, &row); err != nil {
			return "", "", invalid("Invalid PlainBuffer: %v.", err)
		}
		key, failed := t.readKey(row.Key, true)
		if failed != nil {
			return "", "", failed
		}
		keys[i] = sortable(key)
	}
	if backward && keys[0] <= keys[1] || !backward && keys[0] >= keys[1] {
		return "", "", invalid("Begin key must be less than end key in FORWARD, and greater in BACKWARD.")
	}
	return keys[0], keys[1], nil
}

func (s *scan) run() page {
	var p page
	seen := 0
	visit := func(row *Row) bool {
		if s.backward && row.Key <= s.end || !s.backward && row.Key >= s.end {
			return false
		}
		full := seen >= s.mostRows || p.size >= s.mostSize || s.limit > 0 && len(p.rows) >= s.limit
		if full || s.empty {
			p.next = row.Primary
			return false
		}
		seen++
		p.size += row.Size
		if s.view.shown(row) != nil {
			p.rows = append(p.rows, row)
		}
		return true
	}
	if s.backward {
		s.view.table.rows.descend(s.start, visit)
	} else {
		s.view.table.rows.ascend(s.start, visit)
	}
	return p
}

// plain writes the rows of a page; no rows are zero bytes.
func (p *page) plain(v *view) []byte {
	if len(p.rows) == 0 {
		return []byte{}
	}
	out := plainRow{buf: plainStart(make([]byte, 0, p.size*2))}
	for _, row := range p.rows {
		v.write(&out, row)
	}
	return out.buf
}

func (p *page) nextKey(t *Table) []byte {
	if p.next == nil {
		return nil
	}
	return plainKey(t.keyNames, p.next)
}

func getRange(w *World, q *otsprotocol.GetRangeRequest, c *call) (proto.Message, *failure) {
	if q.GetTransactionId() != "" {
		return nil, refuse("OTSUnsupportOperation", "Transactions are not supported.")
	}
	t, failed := w.readableTable(q.GetTableName(), c)
	if failed != nil {
		return nil, failed
	}
	s := &scan{limit: int(q.GetLimit()), mostRows: w.settings.PageRows, mostSize: w.settings.PageBytes,
		empty: c.emptyPage, backward: q.GetDirection() == otsprotocol.Direction_BACKWARD}
	if q.Limit != nil && s.limit < 1 {
		return nil, invalid("The limit must be greater than 0.")
	}
	if c.pageRows > 0 {
		s.mostRows = c.pageRows
	}
	if s.view, failed = t.view(viewRequest{q.ColumnsToGet, q.TimeRange, q.MaxVersions, q.Filter, q.StartColumn,
		q.EndColumn}, c.at); failed != nil {
		return nil, failed
	}
	s.start, s.end, failed = t.readBounds(q.InclusiveStartPrimaryKey, q.ExclusiveEndPrimaryKey, s.backward)
	if failed != nil {
		return nil, failed
	}
	p := s.run()
	answer := &otsprotocol.GetRangeResponse{Consumed: consumed(units(p.size), 0), NextStartPrimaryKey: p.nextKey(t)}
	answer.DataBlockType = otsprotocol.DataBlockType_DBT_PLAIN_BUFFER.Enum()
	matrix := q.GetDataBlockTypeHint() == otsprotocol.DataBlockType_DBT_SIMPLE_ROW_MATRIX
	if matrix && len(q.ColumnsToGet) > 0 {
		answer.Rows = p.matrix(s.view, q.ColumnsToGet)
		answer.DataBlockType = otsprotocol.DataBlockType_DBT_SIMPLE_ROW_MATRIX.Enum()
	} else {
		answer.Rows = p.plain(s.view)
	}
	return answer, nil
}

// BulkExportRequest and BulkExportResponse are not in the Go SDK.
type BulkExportRequest struct {
	TableName     *string                    `protobuf:"bytes,1,req,name=table_name"`
	ColumnsToGet  []string                   `protobuf:"bytes,2,rep,name=columns_to_get"`
	Start         []byte                     `protobuf:"bytes,3,req,name=inclusive_start_primary_key"`
	End           []byte                     `protobuf:"bytes,4,req,name=exclusive_end_primary_key"`
	Filter        []byte                     `protobuf:"bytes,5,opt,name=filter"`
	DataBlockHint *otsprotocol.DataBlockType `protobuf:"varint,6,opt,name=data_block_type_hint,enum=otsprotocol.DataBlockType"`
}

type BulkExportResponse struct {
	Consumed  *otsprotocol.ConsumedCapacity `protobuf:"bytes,1,req,name=consumed"`
	Rows      []byte                        `protobuf:"bytes,2,req,name=rows"`
	Next      []byte                        `protobuf:"bytes,3,opt,name=next_start_primary_key"`
	DataBlock *otsprotocol.DataBlockType    `protobuf:"varint,4,opt,name=data_block_type,enum=otsprotocol.DataBlockType"`
}

func (m *BulkExportRequest) Reset()               { *m = BulkExportRequest{} }
func (m *BulkExportRequest) String() string       { return proto.CompactTextString(m) }
func (*BulkExportRequest) ProtoMessage()          {}
func (m *BulkExportRequest) GetTableName() string { return *m.TableName }
func (m *BulkExportResponse) Reset()              { *m = BulkExportResponse{} }
func (m *BulkExportResponse) String() string      { return proto.CompactTextString(m) }
func (*BulkExportResponse) ProtoMessage()         {}

func bulkExport(w *World, q *BulkExportRequest, c *call) (proto.Message, *failure) {
	t, failed := w.readableTable(q.GetTableName(), c)
	if failed != nil {
		return nil, failed
	}
	s := &scan{mostRows: w.settings.PageRows, mostSize: w.settings.PageBytes, empty: c.emptyPage}
	if c.pageRows > 0 {
		s.mostRows = c.pageRows
	}
	if s.view, failed = t.view(viewRequest{columns: q.ColumnsToGet, maxVersions: proto.Int32(1), filter: q.Filter},
		c.at); failed != nil {
		return nil, failed
	}
	if s.start, s.end, failed = t.readBounds(q.Start, q.End, false); failed != nil {
		return nil, failed
	}
	p := s.run()
	answer := &BulkExportResponse{Consumed: consumed(units(p.size), 0), Next: p.nextKey(t)}
	// The matrix is the default, but it needs to know the columns.
	plain := q.DataBlockHint != nil && *q.DataBlockHint == otsprotocol.DataBlockType_DBT_PLAIN_BUFFER
	if plain || len(q.ColumnsToGet) == 0 {
		answer.DataBlock = otsprotocol.DataBlockType_DBT_PLAIN_BUFFER.Enum()
		answer.Rows = p.plain(s.view)
	} else {
		answer.DataBlock = otsprotocol.DataBlockType_DBT_SIMPLE_ROW_MATRIX.Enum()
		answer.Rows = p.matrix(s.view, q.ColumnsToGet)
	}
	return answer, nil
}
