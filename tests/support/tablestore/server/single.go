// PutRow, UpdateRow, DeleteRow, GetRow.
package main

import (
	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

func (w *World) write(table string, kind otsprotocol.OperationType, data []byte, condition *otsprotocol.Condition,
	returns *otsprotocol.ReturnContent, transaction string, c *call) ([]byte, *otsprotocol.ConsumedCapacity, *failure) {
	if transaction != "" {
		return nil, nil, refuse("OTSUnsupportOperation", "Transactions are not supported.")
	}
	t, failed := w.readyTable(table, c)
	if failed != nil {
		return nil, nil, failed
	}
	change, failed := t.readChange(kind, data)
	if failed != nil {
		return nil, nil, failed
	}
	change.condition, change.returns = condition, returns
	row, failed := change.apply(c.at)
	return row, consumed(0, units(change.size)), failed
}

func putRow(w *World, q *otsprotocol.PutRowRequest, c *call) (proto.Message, *failure) {
	row, cost, failed := w.write(q.GetTableName(), otsprotocol.OperationType_PUT, q.Row, q.Condition,
		q.ReturnContent, q.GetTransactionId(), c)
	return &otsprotocol.PutRowResponse{Consumed: cost, Row: row}, failed
}

func updateRow(w *World, q *otsprotocol.UpdateRowRequest, c *call) (proto.Message, *failure) {
	row, cost, failed := w.write(q.GetTableName(), otsprotocol.OperationType_UPDATE, q.RowChange, q.Condition,
		q.ReturnContent, q.GetTransactionId(), c)
	return &otsprotocol.UpdateRowResponse{Consumed: cost, Row: row}, failed
}

func deleteRow(w *World, q *otsprotocol.DeleteRowRequest, c *call) (proto.Message, *failure) {
	row, cost, failed := w.write(q.GetTableName(), otsprotocol.OperationType_DELETE, q.PrimaryKey, q.Condition,
		q.ReturnContent, q.GetTransactionId(), c)
	return &otsprotocol.DeleteRowResponse{Consumed: cost, Row: row}, failed
}

func getRow(w *World, q *otsprotocol.GetRowRequest, c *call) (proto.Message, *failure) {
	if q.GetTransactionId() != "" {
		return nil, refuse("OTSUnsupportOperation", "Transactions are not supported.")
	}
	t, failed := w.readableTable(q.GetTableName(), c)
	if failed != nil {
		return nil, failed
	}
	v, failed := t.view(viewRequest{q.ColumnsToGet, q.TimeRange, q.MaxVersions, q.Filter, q.StartColumn, q.EndColumn},
		c.at)
	if failed != nil {
		return nil, failed
	}
	row, size, failed := t.getOne(q.PrimaryKey, v)
	if failed != nil {
		return nil, failed
	}
	return &otsprotocol.GetRowResponse{Consumed: consumed(units(size), 0), Row: row}, nil
}

// getOne reads by key; an absent row is zero bytes, not nil.
func (t *Table) getOne(data []byte, v *view) ([]byte, int, *failure) {
	var wire WireRow
	if err := readRow(data, &wire); err != nil {
		return nil, 0, invalid("Invalid PlainBuffer: %v.", err)
	}
	key, failed := t.readKey(wire.Key, false)
	if failed != nil {
		return nil, 0, failed
	}
	row := t.rows.get(sortable(key))
	if row == nil {
		return []byte{}, 0, nil
	}
	p := plainRow{buf: plainStart(nil)}
	if !v.write(&p, row) {
		return []byte{}, row.Size, nil
	}
	return p.buf, row.Size, nil
}
