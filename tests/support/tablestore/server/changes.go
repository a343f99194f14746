// A change of one row: checked against the table, then carried out and told to the stream.
package main

import (
	"slices"
	"unicode/utf8"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const (
	longestKeyValue   = 1024
	longestValue      = 2 << 20
	mostColumnsAWrite = 1024
	largestWrite      = 4 << 20
)

// Change is a write of one row whose key has been checked.
type Change struct {
	table     *Table
	kind      otsprotocol.OperationType
	key       string // empty while the auto-increment column waits for its value
	primary   []Value
	cells     []WireCell
	size      int
	condition *otsprotocol.Condition
	returns   *otsprotocol.ReturnContent
}

// readChange takes the row apart. What it refuses, a batch refuses as a whole.
func (t *Table) readChange(kind otsprotocol.OperationType, data []byte) (*Change, *failure) {
	var row WireRow
	if err := readRow(data, &row); err != nil {
		return nil, invalid("Invalid PlainBuffer: %v.", err)
	}
	change := &Change{table: t, kind: kind, cells: row.Cells, size: row.Size}
	if row.Delete != (kind == otsprotocol.OperationType_DELETE) {
		return nil, invalid("The delete marker does not fit the operation.")
	}
	var failed *failure
	if change.primary, failed = t.readKey(row.Key, false); failed != nil {
		return nil, failed
	}
	waits := t.autoColumn >= 0 && change.primary[t.autoColumn].Kind == kindAuto
	if waits && kind != otsprotocol.OperationType_PUT {
		return nil, invalid("Only PutRow lets the service choose a primary key value.")
	}
	if !waits {
		change.key = sortable(change.primary)
	}
	for i := range row.Cells {
		if slices.Contains(t.keyNames, row.Cells[i].Name) {
			return nil, invalid("Duplicated attribute column name with primary key column: '%s' while it is not a primary key.",
				row.Cells[i].Name)
		}
	}
	return change, nil
}

// readKey checks a whole key against the schema; bounds of ranges may hold INF_MIN and INF_MAX.
func (t *Table) readKey(cells []WireCell, bound bool) ([]Value, *failure) {
	if len(cells) != len(t.keyNames) {
		return nil, refuse("OTSInvalidPK", "Validate PK size fail. Input: %d, Meta: %d.", len(cells), len(t.keyNames))
	}
	key := make([]Value, len(cells))
	for i := range cells {
		cell := &cells[i]
		if cell.Name != t.keyNames[i] {
			return nil, refuse("OTSInvalidPK", "Validate PK name fail. Input: %s, Meta: %s.", cell.Name, t.keyNames[i])
		}
		kind := cell.Value.Kind
		infinite := bound && (kind == kindInfMin || kind == kindInfMax)
		auto := !bound && i == t.autoColumn && kind == kindAuto
		if !cell.HasValue || kind != keyKinds[t.keyTypes[i]] && !infinite && !auto {
			return nil, refuse("OTSInvalidPK", "Validate PK type fail. Column: %s.", cell.Name)
		}
		if len(cell.Value.Bytes) > longestKeyValue {
			return nil, invalid("The length of primary key column: '%s' exceeds the MaxLength:%d with CurrentLength:%d.",
				cell.Name, longestKeyValue, len(cell.Value.Bytes))
		}
		if kind == kindString && !utf8.Valid(cell.Value.Bytes) {
			return nil, invalid("Primary key column '%s' is not UTF-8.", cell.Name)
		}
		if cell.HasTime || cell.Op != opPut {
			return nil, invalid("A primary key column has neither timestamp nor operation.")
		}
		key[i] = cell.Value
	}
	return key, nil
}

// check refuses what fails one row only.
func (c *Change) check(at moment) *failure {
	t := c.table
	update := c.kind == otsprotocol.OperationType_UPDATE
	if c.kind == otsprotocol.OperationType_DELETE && len(c.cells) > 0 {
		return invalid("DeleteRow takes no attribute columns.")
	}
	if update {
		if !t.options.allowUpdate {
			return refuse("OTSUnsupportOperation", "Table %s does not allow updates.", t.name)
		}
		if len(c.cells) == 0 {
			return invalid("No attribute column to update.")
		}
	}
	if len(c.cells) > mostColumnsAWrite {
		return refuse("OTSOutOfColumnCountLimit", "The number of columns from the request exceeded the limit.")
	}
	if c.size > largestWrite {
		return refuse("OTSOutOfRowSizeLimit", "The total data size of columns in one row exceeded the limit.")
	}
	now := at.millis()
	deviation := t.options.deviationSeconds * 1000
	oldest, newest := max(now-deviation, t.options.oldestMs(now)), now+deviation
	seen := make(map[cellID]bool, len(c.cells))
	for i := range c.cells {
		cell := &c.cells[i]
		if failed := c.checkCell(cell); failed != nil {
			return failed
		}
		if cell.HasTime && (cell.Time < oldest || cell.Time >= newest) && cell.Op != opDeleteOne {
			return invalid("The version of column '%s' is %d, not in [%d, %d).", cell.Name, cell.Time, oldest, newest)
		}
		id := cellID{cell.Name, cell.Time, cell.HasTime}
		if seen[id] {
			return invalid("Duplicated attribute column name: '%s'.", cell.Name)
		}
		seen[id] = true
	}
	return nil
}

type cellID struct {
	name   string
	time   int64
	stated bool
}

func (c *Change) checkCell(cell *WireCell) *failure {
	if !isName(cell.Name) {
		return invalid("Invalid column name: '%s'.", cell.Name)
	}
	update := c.kind == otsprotocol.OperationType_UPDATE
	if cell.Op != opPut && !update {
		return invalid("PutRow takes only values.")
	}
	if cell.Op != opPut && c.table.options.updateFullRow {
		return refuse("OTSUnsupportOperation", "Table %s takes updates of the full row only.", c.table.name)
	}
	switch cell.Op {
	case opDeleteAll:
		if cell.HasValue || cell.HasTime {
			return invalid("The deletion of column '%s' has a value or a timestamp.", cell.Name)
		}
		return nil
	case opDeleteOne:
		if cell.HasValue || !cell.HasTime {
			return invalid("The deletion of one version of column '%s' needs a timestamp and no value.", cell.Name)
		}
		return nil
	case opIncrement:
		if !cell.HasValue || cell.Value.Kind != kindInteger || cell.HasTime {
			return invalid("The increment of column '%s' needs an INTEGER and no timestamp.", cell.Name)
		}
		return nil
	}
	if !cell.HasValue || cell.Value.Kind > kindBlob || cell.Value.Kind == kindNull {
		return invalid("Column '%s' has no value.", cell.Name)
	}
	if len(cell.Value.Bytes) > longestValue {
		return invalid("The length of attribute column: '%s' exceeds the MaxLength:%d with CurrentLength:%d.",
			cell.Name, longestValue, len(cell.Value.Bytes))
	}
	if cell.Value.Kind == kindString && !utf8.Valid(cell.Value.Bytes) {
		return invalid("Column '%s' is not UTF-8.", cell.Name)
	}
	return nil
}

// apply carries the change out and gives the row to return, if one was asked for. A failure changes nothing.
func (c *Change) apply(at moment) ([]byte, *failure) {
	if failed := c.check(at); failed != nil {
		return nil, failed
	}
	t := c.table
	auto := t.lastAuto
	if c.key == "" {
		// Not consecutive, and larger than any before.
		auto = max(at.micros(), t.lastAuto+1)
		c.primary[t.autoColumn] = integer(auto)
		c.key = sortable(c.primary)
	}
	old := t.live(c.key, at.millis())
	if failed := c.meets(old); failed != nil {
		return nil, failed
	}
	fresh, failed := c.result(old, at)
	if failed != nil {
		return nil, failed
	}
	t.lastAuto = auto
	if fresh == nil {
		t.rows.remove(c.key)
	} else {
		fresh.measure()
		t.rows.put(fresh)
	}
	if t.stream != nil {
		t.stream.append(c, old, at)
	}
	return c.answer(fresh), nil
}

func (c *Change) meets(old *Row) *failure {
	refused := refuse("OTSConditionCheckFail", "Condition check failed.")
	switch c.condition.GetRowExistence() {
	case otsprotocol.RowExistenceExpectation_EXPECT_EXIST:
		if old == nil {
			return refused
		}
	case otsprotocol.RowExistenceExpectation_EXPECT_NOT_EXIST:
		if old != nil {
			return refused
		}
	}
	if filter := c.condition.GetColumnCondition(); len(filter) > 0 {
		test, failed := readFilter(filter)
		if failed != nil {
			return failed
		}
		if test.paginates() {
			return invalid("A condition does not paginate.")
		}
		if old == nil {
			old = &Row{}
		}
		if !test.passes(old) {
			return refused
		}
	}
	return nil
}

// result is the row after the change, nil when there is none. Increments become puts of their sum in c.cells.
func (c *Change) result(old *Row, at moment) (*Row, *failure) {
	t := c.table
	now := at.millis()
	fresh := &Row{Key: c.key, Primary: c.primary}
	switch c.kind {
	case otsprotocol.OperationType_DELETE:
		if t.deletedMs != nil {
			t.deletedMs[c.key] = now
		}
		return nil, nil
	case otsprotocol.OperationType_UPDATE:
		if old != nil {
			fresh = old.copied()
		}
	}
	fresh.TouchedMs = now
	cells := slices.Clone(c.cells)
	puts := false
	for i := range cells {
		cell := &cells[i]
		switch cell.Op {
		case opDeleteAll:
			fresh.deleteColumn(cell.Name)
			continue
		case opDeleteOne:
			fresh.deleteCell(cell.Name, cell.Time)
			continue
		case opIncrement:
			sum := cell.Value.integer()
			if column := fresh.column(cell.Name); column != nil {
				before := &column.Cells[0].Value
				if before.Kind != kindInteger {
					return nil, invalid("Column '%s' is not an INTEGER.", cell.Name)
				}
				sum += before.integer()
			}
			cell.Op, cell.Value = opPut, integer(sum)
		}
		if !cell.HasTime {
			cell.Time, cell.HasTime = now, true
		}
		puts = true
		if deleted, known := t.deletedMs[c.key]; known && cell.Time <= deleted {
			continue
		}
		fresh.putCell(cell.Name, Cell{cell.Time, cell.Value}, int(t.options.maxVersions))
	}
	c.cells = cells
	// Deletions of columns alone make no row.
	if c.kind == otsprotocol.OperationType_UPDATE && old == nil && !puts {
		return nil, nil
	}
	return fresh, nil
}

func (c *Change) answer(fresh *Row) []byte {
	switch c.returns.GetReturnType() {
	case otsprotocol.ReturnType_RT_PK:
		return plainKey(c.table.keyNames, c.primary)
	case otsprotocol.ReturnType_RT_AFTER_MODIFY:
		p := plainRow{buf: plainStart(nil)}
		p.key(c.table.keyNames, c.primary)
		for _, name := range c.returns.GetReturnColumnNames() {
			if fresh == nil {
				break
			}
			if column := fresh.column(name); column != nil {
				newest := &column.Cells[0]
				p.cell(name, &newest.Value, opPut, &newest.Time)
			}
		}
		p.end(nil)
		return p.buf
	}
	return nil
}

func consumed(read, write int) *otsprotocol.ConsumedCapacity {
	return &otsprotocol.ConsumedCapacity{CapacityUnit: &otsprotocol.CapacityUnit{
		Read: proto.Int32(int32(read)), Write: proto.Int32(int32(write))}}
}

// units is what a size costs.
func units(size int) int { return 1 + size/4096 }
