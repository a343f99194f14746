// What a table may be called and consist of.
package main

import (
	"regexp"
	"slices"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const (
	mostKeyColumns     = 4
	mostDefinedColumns = 32
	mostIndexes        = 5
)

var goodName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)

// isName is goodName by hand: it is asked for every cell.
func isName[T string | []byte](name T) bool {
	if len(name) == 0 || len(name) > 255 || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	for i := 0; i < len(name); i++ {
		b := name[i]
		if b != '_' && (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') {
			return false
		}
	}
	return true
}

func newTable(meta *otsprotocol.TableMeta) (*Table, *failure) {
	t := &Table{name: meta.GetTableName(), autoColumn: -1}
	if !goodName.MatchString(t.name) {
		return nil, invalid("Invalid table name: '%s'.", t.name)
	}
	if n := len(meta.PrimaryKey); n < 1 || n > mostKeyColumns {
		return nil, invalid("The number of primary key columns must be in range: [1, %d].", mostKeyColumns)
	}
	for i, column := range meta.PrimaryKey {
		name := column.GetName()
		if !goodName.MatchString(name) {
			return nil, invalid("Invalid column name: '%s'.", name)
		}
		if slices.Contains(t.keyNames, name) {
			return nil, invalid("Duplicated primary key name: '%s'.", name)
		}
		if _, known := otsprotocol.PrimaryKeyType_name[int32(column.GetType())]; !known {
			return nil, invalid("Invalid type of primary key column '%s'.", name)
		}
		if column.Option != nil {
			if i == 0 || t.autoColumn >= 0 || column.GetType() != otsprotocol.PrimaryKeyType_INTEGER {
				return nil, invalid("AUTO_INCREMENT is for one INTEGER column that is not the first.")
			}
			t.autoColumn = i
		}
		t.keyNames = append(t.keyNames, name)
		t.keyTypes = append(t.keyTypes, column.GetType())
	}
	return t, t.define(meta.DefinedColumn)
}

func (t *Table) define(columns []*otsprotocol.DefinedColumnSchema) *failure {
	all := slices.Clone(t.defined)
	for _, column := range columns {
		name := column.GetName()
		if !goodName.MatchString(name) {
			return invalid("Invalid column name: '%s'.", name)
		}
		if slices.Contains(t.keyNames, name) || definedIn(all, name) {
			return invalid("Duplicated column name: '%s'.", name)
		}
		all = append(all, column)
	}
	if len(all) > mostDefinedColumns {
		return invalid("The number of defined columns exceeds %d.", mostDefinedColumns)
	}
	t.defined = all
	return nil
}

func definedIn(columns []*otsprotocol.DefinedColumnSchema, name string) bool {
	return slices.ContainsFunc(columns, func(c *otsprotocol.DefinedColumnSchema) bool { return c.GetName() == name })
}

func addDefinedColumn(w *World, q *otsprotocol.AddDefinedColumnRequest, _ *call) (proto.Message, *failure) {
	t, failed := w.table(q.GetTableName())
	if failed == nil {
		failed = t.define(q.Columns)
	}
	return &otsprotocol.AddDefinedColumnResponse{}, failed
}

func deleteDefinedColumn(w *World, q *otsprotocol.DeleteDefinedColumnRequest, _ *call) (proto.Message, *failure) {
	t, failed := w.table(q.GetTableName())
	if failed != nil {
		return nil, failed
	}
	for _, name := range q.Columns {
		if !definedIn(t.defined, name) {
			return nil, invalid("Defined column '%s' does not exist.", name)
		}
		if slices.ContainsFunc(t.indexes, func(i *otsprotocol.IndexMeta) bool {
			return slices.Contains(i.PrimaryKey, name) || slices.Contains(i.DefinedColumn, name)
		}) {
			return nil, invalid("Defined column '%s' is used by an index.", name)
		}
	}
	t.defined = slices.DeleteFunc(slices.Clone(t.defined), func(c *otsprotocol.DefinedColumnSchema) bool {
		return slices.Contains(q.Columns, c.GetName())
	})
	return &otsprotocol.DeleteDefinedColumnResponse{}, nil
}
