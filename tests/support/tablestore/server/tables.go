// Tables: made, described, changed, dropped.
package main

import (
	"maps"
	"slices"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const (
	mostTables = 64
	// A throughput may be changed once in this time.
	throughputPauseMs = 120_000
)

type Table struct {
	name       string
	keyNames   []string
	keyTypes   []otsprotocol.PrimaryKeyType
	autoColumn int // -1: none
	lastAuto   int64
	defined    []*otsprotocol.DefinedColumnSchema
	indexes    []*otsprotocol.IndexMeta
	options    options
	throughput *otsprotocol.CapacityUnit
	adjustedMs int64
	createdUs  int64
	readyAt    int64 // ns, wall
	// After a split or a merge; ns, wall.
	movingUntil int64
	rows        Sorted
	deletedMs   map[string]int64 // nil: a delete hides nothing that comes later
	partitions  []*Partition     // in key order
	stream      *Stream
}

type options struct {
	ttlSeconds       int32
	maxVersions      int32
	deviationSeconds int64
	allowUpdate      bool
	updateFullRow    bool
}

func (o *options) message() *otsprotocol.TableOptions {
	return &otsprotocol.TableOptions{
		TimeToLive:                &o.ttlSeconds,
		MaxVersions:               &o.maxVersions,
		DeviationCellVersionInSec: &o.deviationSeconds,
		AllowUpdate:               &o.allowUpdate,
		UpdateFullRow:             &o.updateFullRow,
	}
}

// take changes what the message names.
func (o options) take(m *otsprotocol.TableOptions) (options, *failure) {
	if m == nil {
		return o, nil
	}
	if m.TimeToLive != nil {
		if o.ttlSeconds = *m.TimeToLive; o.ttlSeconds != -1 && o.ttlSeconds < 86400 {
			return o, invalid("Invalid TTL: %d. It is -1 or at least 86400.", o.ttlSeconds)
		}
	}
	if m.MaxVersions != nil {
		if o.maxVersions = *m.MaxVersions; o.maxVersions < 1 {
			return o, invalid("Invalid max versions: %d.", o.maxVersions)
		}
	}
	if m.DeviationCellVersionInSec != nil {
		if o.deviationSeconds = *m.DeviationCellVersionInSec; o.deviationSeconds < 1 {
			return o, invalid("Invalid deviation of cell versions: %d.", o.deviationSeconds)
		}
	}
	if m.AllowUpdate != nil {
		o.allowUpdate = *m.AllowUpdate
	}
	if m.UpdateFullRow != nil {
		o.updateFullRow = *m.UpdateFullRow
	}
	return o, nil
}

func (w *World) table(name string) (*Table, *failure) {
	if t, ok := w.tables[name]; ok {
		return t, nil
	}
	return nil, missing("Requested table does not exist.")
}

// readyTable is a table that takes rows: not in the first moment after CreateTable.
func (w *World) readyTable(name string, c *call) (*Table, *failure) {
	t, failed := w.table(name)
	if failed == nil && c.at.wall < t.readyAt && !c.replayed {
		return nil, refuse("OTSTableNotReady", "Table %s is not ready.", name)
	}
	if failed == nil && c.at.wall < t.movingUntil && !c.replayed {
		return nil, refuse("OTSPartitionUnavailable", "A partition of table %s is being moved.", name)
	}
	return t, failed
}

func listTable(w *World, _ *otsprotocol.ListTableRequest, _ *call) (proto.Message, *failure) {
	// Index tables stand among the others.
	names := slices.Collect(maps.Keys(w.tables))
	for _, t := range w.tables {
		for _, index := range t.indexes {
			names = append(names, index.GetName())
		}
	}
	slices.Sort(names)
	return &otsprotocol.ListTableResponse{TableNames: names}, nil
}

func createTable(w *World, q *otsprotocol.CreateTableRequest, c *call) (proto.Message, *failure) {
	t, failed := newTable(q.TableMeta)
	if failed != nil {
		return nil, failed
	}
	if w.taken(t.name) {
		return nil, refuse("OTSObjectAlreadyExist", "Requested table already exists.")
	}
	if len(w.tables) >= mostTables {
		return nil, refuse("OTSQuotaExhausted", "Number of tables exceeded the quota.")
	}
	t.options = options{ttlSeconds: -1, maxVersions: 1, deviationSeconds: 86400, allowUpdate: true}
	if t.options, failed = t.options.take(q.TableOptions); failed != nil {
		return nil, failed
	}
	t.throughput = q.ReservedThroughput.GetCapacityUnit()
	t.createdUs, t.adjustedMs = c.at.micros(), c.at.millis()
	t.readyAt = c.at.wall + w.settings.ReadyAfterMs*1_000_000
	for _, index := range slices.Concat(q.IndexMetas, q.TableMeta.IndexMeta) {
		if failed := t.addIndex(w, index); failed != nil {
			return nil, failed
		}
	}
	if failed := t.layOut(w, q.Partitions); failed != nil {
		return nil, failed
	}
	if q.StreamSpec.GetEnableStream() {
		if failed := checkStream(q.StreamSpec); failed != nil {
			return nil, failed
		}
		t.startStream(w, q.StreamSpec, c.at)
	}
	if w.settings.Tombstones {
		t.deletedMs = map[string]int64{}
	}
	w.tables[t.name] = t
	return &otsprotocol.CreateTableResponse{}, nil
}

func (w *World) taken(name string) bool {
	if _, ok := w.tables[name]; ok {
		return true
	}
	_, _, index := w.index(name)
	return index
}

func describeTable(w *World, q *otsprotocol.DescribeTableRequest, c *call) (proto.Message, *failure) {
	if main, index, ok := w.index(q.GetTableName()); ok {
		return main.describe(indexTable(main, index), c), nil
	}
	t, failed := w.table(q.GetTableName())
	if failed != nil {
		return nil, failed
	}
	return t.describe(t, c), nil
}

// describe tells of shown, which is t itself or an index of it.
func (t *Table) describe(shown *Table, c *call) *otsprotocol.DescribeTableResponse {
	status := otsprotocol.TableStatus_ACTIVE
	if c.at.wall < t.readyAt {
		status = otsprotocol.TableStatus_LOADING
	}
	answer := &otsprotocol.DescribeTableResponse{
		TableMeta:                 shown.meta(),
		ReservedThroughputDetails: t.throughputDetails(),
		TableOptions:              t.options.message(),
		TableStatus:               &status,
		IndexMetas:                shown.indexes,
	}
	if shown == t {
		answer.StreamDetails = t.streamDetails()
		for _, partition := range t.partitions[1:] {
			answer.ShardSplits = append(answer.ShardSplits, plainKey(t.keyNames[:1], partition.point))
		}
	}
	return answer
}

func (t *Table) throughputDetails() *otsprotocol.ReservedThroughputDetails {
	return &otsprotocol.ReservedThroughputDetails{
		CapacityUnit: &otsprotocol.CapacityUnit{
			Read:  proto.Int32(t.throughput.GetRead()),
			Write: proto.Int32(t.throughput.GetWrite()),
		},
		LastIncreaseTime: proto.Int64(t.adjustedMs / 1000),
	}
}

func (t *Table) meta() *otsprotocol.TableMeta {
	meta := &otsprotocol.TableMeta{TableName: &t.name, DefinedColumn: t.defined}
	for i, name := range t.keyNames {
		column := &otsprotocol.PrimaryKeySchema{Name: proto.String(name), Type: t.keyTypes[i].Enum()}
		if i == t.autoColumn {
			column.Option = otsprotocol.PrimaryKeyOption_AUTO_INCREMENT.Enum()
		}
		meta.PrimaryKey = append(meta.PrimaryKey, column)
	}
	return meta
}

func updateTable(w *World, q *otsprotocol.UpdateTableRequest, c *call) (proto.Message, *failure) {
	t, failed := w.table(q.GetTableName())
	if failed != nil {
		return nil, failed
	}
	if q.ReservedThroughput == nil && q.TableOptions == nil && q.StreamSpec == nil {
		return nil, invalid("Nothing to update.")
	}
	changed, failed := t.options.take(q.TableOptions)
	if failed != nil {
		return nil, failed
	}
	if failed := checkIndexed(t.indexes, &changed); failed != nil {
		return nil, failed
	}
	units := q.ReservedThroughput.GetCapacityUnit()
	if units != nil && c.at.millis()-t.adjustedMs < throughputPauseMs && !c.replayed {
		return nil, refuse("OTSTooFrequentReservedThroughputAdjustment",
			"Capacity unit adjustment is too frequent.")
	}
	if q.StreamSpec != nil {
		if failed := t.switchStream(w, q.StreamSpec, c.at); failed != nil {
			return nil, failed
		}
	}
	t.options = changed
	if units != nil {
		t.throughput, t.adjustedMs = units, c.at.millis()
	}
	return &otsprotocol.UpdateTableResponse{
		ReservedThroughputDetails: t.throughputDetails(),
		TableOptions:              t.options.message(),
		StreamDetails:             t.streamDetails(),
	}, nil
}

func deleteTable(w *World, q *otsprotocol.DeleteTableRequest, _ *call) (proto.Message, *failure) {
	if _, failed := w.table(q.GetTableName()); failed != nil {
		return nil, failed
	}
	delete(w.tables, q.GetTableName())
	return &otsprotocol.DeleteTableResponse{}, nil
}
