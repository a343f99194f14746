// BatchWriteRow, BulkImport, BatchGetRow.
package main

import (
	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const (
	mostRowsWritten = 200
	mostRowsGotten  = 100
	largestBatch    = 4 << 20
)

// readBatch checks what refuses a batch as a whole.
func (w *World) readBatch(tables []*otsprotocol.TableInBatchWriteRowRequest, c *call) ([]*Change, *failure) {
	if len(tables) == 0 {
		return nil, invalid("No operation is specified in BatchWriteRow.")
	}
	count, size := 0, 0
	var changes []*Change
	named := map[string]bool{}
	for _, part := range tables {
		name := part.GetTableName()
		t, failed := w.readyTable(name, c)
		if failed != nil {
			return nil, failed
		}
		if named[name] {
			return nil, invalid("Duplicated table name: '%s'.", name)
		}
		named[name] = true
		if len(part.Rows) == 0 {
			return nil, invalid("No row specified in table: '%s'.", name)
		}
		if count += len(part.Rows); count > mostRowsWritten {
			return nil, invalid("Rows count exceeds the upper limit: %d.", mostRowsWritten)
		}
		keys := make(map[string]bool, len(part.Rows))
		for _, row := range part.Rows {
			if size += len(row.RowChange); size > largestBatch {
				return nil, invalid("The total data size of BatchWriteRow request exceeds the limit: %d.", largestBatch)
			}
			change, failed := t.readChange(row.GetType(), row.RowChange)
			if failed != nil {
				return nil, failed
			}
			change.condition, change.returns = row.Condition, row.ReturnContent
			if change.key != "" && keys[change.key] {
				return nil, invalid("The primary key of some rows in table '%s' is duplicated.", name)
			}
			keys[change.key] = true
			changes = append(changes, change)
		}
	}
	return changes, nil
}

// Which rows a fault made fail; after this mark the change was made all the same.
const appliedAllTheSame = "!"

func (c *call) applyOne(change *Change, index int) *otsprotocol.RowInBatchWriteRowResponse {
	fault, faulty := c.FailedRows[index]
	applied := faulty && fault[:1] == appliedAllTheSame
	if faulty && !applied {
		return rowFailure(refuse(fault, "Injected."))
	}
	row, failed := change.apply(c.at)
	if failed != nil {
		return rowFailure(failed)
	}
	if applied {
		return rowFailure(refuse(fault[1:], "Injected, and yet it was done."))
	}
	return &otsprotocol.RowInBatchWriteRowResponse{
		IsOk: proto.Bool(true), Consumed: consumed(0, units(change.size)), Row: row}
}

func rowFailure(f *failure) *otsprotocol.RowInBatchWriteRowResponse {
	return &otsprotocol.RowInBatchWriteRowResponse{IsOk: proto.Bool(false), Error: f.errorMessage()}
}

func (f *failure) errorMessage() *otsprotocol.Error {
	return &otsprotocol.Error{Code: &f.code, Message: &f.message}
}

func batchWriteRow(w *World, q *otsprotocol.BatchWriteRowRequest, c *call) (proto.Message, *failure) {
	if q.GetTransactionId() != "" || q.GetIsAtomic() {
		return nil, refuse("OTSUnsupportOperation", "Transactions are not supported.")
	}
	changes, failed := w.readBatch(q.Tables, c)
	if failed != nil {
		return nil, failed
	}
	answer := &otsprotocol.BatchWriteRowResponse{}
	index := 0
	for _, part := range q.Tables {
		rows := &otsprotocol.TableInBatchWriteRowResponse{TableName: part.TableName}
		for range part.Rows {
			rows.Rows = append(rows.Rows, c.applyOne(changes[index], index))
			index++
		}
		answer.Tables = append(answer.Tables, rows)
	}
	return answer, nil
}

// bulkImport: its messages are those of one table of a batch, without condition.
func bulkImport(w *World, q *otsprotocol.TableInBatchWriteRowRequest, c *call) (proto.Message, *failure) {
	changes, failed := w.readBatch([]*otsprotocol.TableInBatchWriteRowRequest{q}, c)
	if failed != nil {
		return nil, failed
	}
	answer := &otsprotocol.TableInBatchWriteRowResponse{TableName: q.TableName}
	for index, change := range changes {
		change.condition, change.returns = nil, nil
		answer.Rows = append(answer.Rows, c.applyOne(change, index))
	}
	return answer, nil
}

func batchGetRow(w *World, q *otsprotocol.BatchGetRowRequest, c *call) (proto.Message, *failure) {
	answer := &otsprotocol.BatchGetRowResponse{}
	count := 0
	named := map[string]bool{}
	for _, part := range q.Tables {
		if count += len(part.PrimaryKey); count > mostRowsGotten {
			return nil, invalid("Rows count exceeds the upper limit: %d.", mostRowsGotten)
		}
		if named[part.GetTableName()] || len(part.PrimaryKey) == 0 {
			return nil, invalid("Table '%s' is there twice or without rows.", part.GetTableName())
		}
		named[part.GetTableName()] = true
		t, failed := w.readableTable(part.GetTableName(), c)
		if failed != nil {
			return nil, failed
		}
		v, failed := t.view(viewRequest{part.ColumnsToGet, part.TimeRange, part.MaxVersions, part.Filter,
			part.StartColumn, part.EndColumn}, c.at)
		if failed != nil {
			return nil, failed
		}
		rows := &otsprotocol.TableInBatchGetRowResponse{TableName: part.TableName}
		for index, key := range part.PrimaryKey {
			if code, faulty := c.FailedRows[index]; faulty {
				rows.Rows = append(rows.Rows, &otsprotocol.RowInBatchGetRowResponse{IsOk: proto.Bool(false),
					Error: refuse(code, "Injected.").errorMessage()})
				continue
			}
			row, size, failed := t.getOne(key, v)
			if failed != nil {
				return nil, failed
			}
			rows.Rows = append(rows.Rows, &otsprotocol.RowInBatchGetRowResponse{
				IsOk: proto.Bool(true), Consumed: consumed(units(size), 0), Row: row})
		}
		answer.Tables = append(answer.Tables, rows)
	}
	if count == 0 {
		return nil, invalid("No row specified in the request.")
	}
	return answer, nil
}
