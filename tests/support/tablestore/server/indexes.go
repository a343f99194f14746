// Secondary indexes: names among the tables, contents read out of the main table when asked for.
package main

import (
	"slices"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

func (w *World) index(name string) (*Table, *otsprotocol.IndexMeta, bool) {
	for _, t := range w.tables {
		for _, index := range t.indexes {
			if index.GetName() == name {
				return t, index, true
			}
		}
	}
	return nil, nil, false
}

func (t *Table) addIndex(w *World, index *otsprotocol.IndexMeta) *failure {
	name := index.GetName()
	if !goodName.MatchString(name) || len(index.PrimaryKey) == 0 {
		return invalid("Invalid index '%s'.", name)
	}
	if name == t.name || w.taken(name) ||
		slices.ContainsFunc(t.indexes, func(i *otsprotocol.IndexMeta) bool { return i.GetName() == name }) {
		return refuse("OTSObjectAlreadyExist", "Requested table already exists.")
	}
	for _, column := range slices.Concat(index.PrimaryKey, index.DefinedColumn) {
		if !slices.Contains(t.keyNames, column) && !definedIn(t.defined, column) {
			return invalid("Column '%s' of the index is neither a primary key nor a defined column.", column)
		}
	}
	all := append(slices.Clone(t.indexes), index)
	if len(all) > mostIndexes {
		return invalid("The number of indexes exceeds %d.", mostIndexes)
	}
	if failed := checkIndexed(all, &t.options); failed != nil {
		return failed
	}
	t.indexes = all
	return nil
}

// checkIndexed: a table with an index has one version, and either no TTL or no updates.
func checkIndexed(indexes []*otsprotocol.IndexMeta, o *options) *failure {
	if len(indexes) > 0 && (o.maxVersions != 1 || o.ttlSeconds != -1 && o.allowUpdate) {
		return invalid("A table with an index has max versions 1, and TTL -1 or no updates.")
	}
	return nil
}

func createIndex(w *World, q *otsprotocol.CreateIndexRequest, _ *call) (proto.Message, *failure) {
	t, failed := w.table(q.GetMainTableName())
	if failed == nil {
		failed = t.addIndex(w, q.IndexMeta)
	}
	return &otsprotocol.CreateIndexResponse{}, failed
}

func dropIndex(w *World, q *otsprotocol.DropIndexRequest, _ *call) (proto.Message, *failure) {
	t, failed := w.table(q.GetMainTableName())
	if failed != nil {
		return nil, failed
	}
	kept := slices.DeleteFunc(slices.Clone(t.indexes), func(i *otsprotocol.IndexMeta) bool {
		return i.GetName() == q.GetIndexName()
	})
	if len(kept) == len(t.indexes) {
		return nil, missing("Requested index does not exist.")
	}
	t.indexes = kept
	return &otsprotocol.DropIndexResponse{}, nil
}

// indexTable is the shape of an index: its own key, then what is missing of the main table's.
func indexTable(main *Table, index *otsprotocol.IndexMeta) *Table {
	shown := &Table{name: index.GetName(), autoColumn: -1, options: main.options, partitions: []*Partition{{}}}
	for _, name := range slices.Concat(index.PrimaryKey, main.keyNames) {
		if slices.Contains(shown.keyNames, name) {
			continue
		}
		shown.keyNames = append(shown.keyNames, name)
		if at := slices.Index(main.keyNames, name); at >= 0 {
			shown.keyTypes = append(shown.keyTypes, main.keyTypes[at])
		} else {
			shown.keyTypes = append(shown.keyTypes, keyTypeOf(main.defined, name))
		}
	}
	for _, column := range main.defined {
		if slices.Contains(index.DefinedColumn, column.GetName()) {
			shown.defined = append(shown.defined, column)
		}
	}
	return shown
}

func keyTypeOf(defined []*otsprotocol.DefinedColumnSchema, name string) otsprotocol.PrimaryKeyType {
	for _, column := range defined {
		if column.GetName() == name {
			switch column.GetType() {
			case otsprotocol.DefinedColumnType_DCT_INTEGER:
				return otsprotocol.PrimaryKeyType_INTEGER
			case otsprotocol.DefinedColumnType_DCT_BLOB:
				return otsprotocol.PrimaryKeyType_BINARY
			}
		}
	}
	return otsprotocol.PrimaryKeyType_STRING
}

var keyKinds = map[otsprotocol.PrimaryKeyType]byte{
	otsprotocol.PrimaryKeyType_INTEGER: kindInteger,
	otsprotocol.PrimaryKeyType_STRING:  kindString,
	otsprotocol.PrimaryKeyType_BINARY:  kindBlob,
}

// readableTable is a table, or an index filled from its main table for this one request.
func (w *World) readableTable(name string, c *call) (*Table, *failure) {
	main, index, ok := w.index(name)
	if !ok {
		return w.readyTable(name, c)
	}
	shown := indexTable(main, index)
	main.rows.ascend("", func(row *Row) bool {
		if entry := indexEntry(main, shown, row); entry != nil {
			shown.rows.put(entry)
		}
		return true
	})
	return shown, nil
}

// indexEntry is nil for a row that lacks a column of the index or has it in another type.
func indexEntry(main, shown *Table, row *Row) *Row {
	entry := &Row{TouchedMs: row.TouchedMs}
	for i, name := range shown.keyNames {
		var value Value
		if at := slices.Index(main.keyNames, name); at >= 0 {
			value = row.Primary[at]
		} else if column := row.column(name); column != nil {
			value = column.Cells[0].Value
		} else {
			return nil
		}
		if value.Kind != keyKinds[shown.keyTypes[i]] {
			return nil
		}
		entry.Primary = append(entry.Primary, value)
	}
	for _, column := range row.Columns {
		if definedIn(shown.defined, column.Name) {
			entry.Columns = append(entry.Columns, column)
		}
	}
	entry.Key = sortable(entry.Primary)
	entry.measure()
	return entry
}
