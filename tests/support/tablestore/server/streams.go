// The stream of a table: a shard for each partition, a record for each change, kept for some hours.
package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const longestRetentionHours = 168

type Stream struct {
	id        string
	table     *Table
	createdUs int64
	hours     int32
	columns   []string
	shards    []*Shard // by age
}

type Shard struct {
	id       string
	parents  []string
	closedUs int64 // 0: open
	base     int64 // position of records[0]
	records  []*Record
	last     Sequence
}

type Record struct {
	action   otsprotocol.ActionType
	sequence Sequence
	body     []byte
	// The old row's named columns. GetStreamRecord gives them without a key, which Go's tunnel decoder would not take.
	origin       []byte
	tunnelOrigin []byte
}

func (s *Shard) end() int64 { return s.base + int64(len(s.records)) }

// first is the position of the oldest record that is still kept.
func (s *Shard) first(oldestUs int64) int64 { return s.base + int64(s.firstSince(oldestUs)) }

func (s *Shard) firstSince(micros int64) int {
	return sort.Search(len(s.records), func(i int) bool { return s.records[i].sequence.Micros >= micros })
}

func (s *Shard) close(at moment) { s.closedUs = max(at.micros(), 1) }

func (s *Stream) oldestUs(at moment) int64 { return at.micros() - int64(s.hours)*3_600_000_000 }

func checkStream(spec *otsprotocol.StreamSpecification) *failure {
	if hours := spec.GetExpirationTime(); hours < 1 || hours > longestRetentionHours {
		return invalid("Stream expiration time must be in range: [1, %d].", longestRetentionHours)
	}
	return nil
}

func (t *Table) startStream(w *World, spec *otsprotocol.StreamSpecification, at moment) {
	stream := &Stream{
		id:        fmt.Sprintf("%s_%d_%s", t.name, at.micros(), w.newID(t.name)[:4]),
		table:     t,
		createdUs: at.micros(),
		hours:     spec.GetExpirationTime(),
		columns:   spec.ColumnsToGet,
	}
	for _, partition := range t.partitions {
		partition.shard = stream.addShard(w, at)
	}
	t.stream = stream
}

// switchStream: off and on again is another stream. A stream that is on cannot be changed.
func (t *Table) switchStream(w *World, spec *otsprotocol.StreamSpecification, at moment) *failure {
	if !spec.GetEnableStream() {
		t.stream = nil
		for _, partition := range t.partitions {
			partition.shard = nil
		}
		return nil
	}
	if t.stream != nil {
		return invalid("Stream is already enabled.")
	}
	if failed := checkStream(spec); failed != nil {
		return failed
	}
	t.startStream(w, spec, at)
	return nil
}

func (s *Stream) addShard(w *World, at moment, parents ...*Shard) *Shard {
	s.shards = slices.DeleteFunc(s.shards, func(old *Shard) bool { return s.forgotten(old, at) })
	shard := &Shard{id: w.newID(s.id)}
	for _, parent := range parents {
		shard.parents = append(shard.parents, parent.id)
	}
	s.shards = append(s.shards, shard)
	return shard
}

// forgotten: closed, and nothing of it is kept.
func (s *Stream) forgotten(shard *Shard, at moment) bool {
	oldest := s.oldestUs(at)
	return shard.closedUs > 0 && shard.closedUs < oldest && shard.first(oldest) == shard.end()
}

func (s *Stream) shard(id string, at moment) *Shard {
	for _, shard := range s.shards {
		if shard.id == id && !s.forgotten(shard, at) {
			return shard
		}
	}
	return nil
}

var actions = map[otsprotocol.OperationType]otsprotocol.ActionType{
	otsprotocol.OperationType_PUT:    otsprotocol.ActionType_PUT_ROW,
	otsprotocol.OperationType_UPDATE: otsprotocol.ActionType_UPDATE_ROW,
	otsprotocol.OperationType_DELETE: otsprotocol.ActionType_DELETE_ROW,
}

// append tells the stream of a change that was made; also of the deletion of a row that was not there.
func (s *Stream) append(c *Change, old *Row, at moment) {
	t := s.table
	shard := t.partitions[t.partitionOf(c.key)].shard
	sequence := Sequence{Micros: at.micros()}
	if sequence.Micros <= shard.last.Micros {
		sequence = Sequence{shard.last.Micros, shard.last.Index + 1}
	}
	shard.last = sequence
	record := &Record{action: actions[c.kind], sequence: sequence}
	p := plainRow{buf: plainStart(nil)}
	p.key(t.keyNames, c.primary)
	for i := range c.cells {
		cell := &c.cells[i]
		var value *Value
		var time *int64
		if cell.HasValue {
			value = &cell.Value
		}
		if cell.HasTime {
			time = &cell.Time
		}
		p.cell(cell.Name, value, cell.Op, time)
	}
	p.end(&sequence)
	record.body = p.buf
	if old != nil && len(s.columns) > 0 {
		record.origin, record.tunnelOrigin = s.image(old, false), s.image(old, true)
	}
	if gone := shard.firstSince(s.oldestUs(at)); gone > len(shard.records)/2 {
		shard.base += int64(gone)
		shard.records = slices.Clone(shard.records[gone:])
	}
	shard.records = append(shard.records, record)
}

// image is the old row's named columns.
func (s *Stream) image(old *Row, withKey bool) []byte {
	p := plainRow{buf: plainStart(nil)}
	if withKey {
		p.key(s.table.keyNames, old.Primary)
	}
	for _, name := range s.columns {
		if column := old.column(name); column != nil {
			newest := &column.Cells[0]
			p.cell(name, &newest.Value, opPut, &newest.Time)
		}
	}
	p.end(nil)
	return p.buf
}

func (t *Table) streamDetails() *otsprotocol.StreamDetails {
	if t.stream == nil {
		return &otsprotocol.StreamDetails{EnableStream: proto.Bool(false)}
	}
	return &otsprotocol.StreamDetails{
		EnableStream:   proto.Bool(true),
		StreamId:       &t.stream.id,
		ExpirationTime: &t.stream.hours,
		LastEnableTime: &t.stream.createdUs,
		ColumnsToGet:   t.stream.columns,
	}
}

func (w *World) streams() []*Stream {
	var all []*Stream
	for _, t := range w.tables {
		if t.stream != nil {
			all = append(all, t.stream)
		}
	}
	slices.SortFunc(all, func(a, b *Stream) int { return strings.Compare(a.id, b.id) })
	return all
}

func (w *World) stream(id string) (*Stream, *failure) {
	for _, s := range w.streams() {
		if s.id == id {
			return s, nil
		}
	}
	return nil, missing("Requested stream does not exist.")
}

func listStream(w *World, q *otsprotocol.ListStreamRequest, _ *call) (proto.Message, *failure) {
	answer := &otsprotocol.ListStreamResponse{}
	for _, s := range w.streams() {
		if q.TableName == nil || q.GetTableName() == s.table.name {
			answer.Streams = append(answer.Streams, &otsprotocol.Stream{
				StreamId: &s.id, TableName: &s.table.name, CreationTime: &s.createdUs})
		}
	}
	return answer, nil
}

// describeStream lists shards by id, so that children may come before their parents.
func describeStream(w *World, q *otsprotocol.DescribeStreamRequest, c *call) (proto.Message, *failure) {
	s, failed := w.stream(q.GetStreamId())
	if failed != nil {
		return nil, failed
	}
	answer := &otsprotocol.DescribeStreamResponse{
		StreamId: &s.id, ExpirationTime: &s.hours, TableName: &s.table.name, CreationTime: &s.createdUs,
		StreamStatus: otsprotocol.StreamStatus_STREAM_ACTIVE.Enum(),
	}
	if q.ShardLimit != nil && q.GetShardLimit() < 1 {
		return nil, invalid("The shard limit must be greater than 0.")
	}
	shards := slices.Clone(s.shards)
	slices.SortFunc(shards, func(a, b *Shard) int { return strings.Compare(a.id, b.id) })
	for _, shard := range shards {
		if s.forgotten(shard, c.at) || shard.id < q.GetInclusiveStartShardId() {
			continue
		}
		if q.ShardLimit != nil && len(answer.Shards) >= int(q.GetShardLimit()) {
			answer.NextShardId = &shard.id
			break
		}
		told := &otsprotocol.StreamShard{ShardId: &shard.id}
		if len(shard.parents) > 0 {
			told.ParentId = &shard.parents[0]
		}
		if len(shard.parents) > 1 {
			told.ParentSiblingId = &shard.parents[1]
		}
		answer.Shards = append(answer.Shards, told)
	}
	return answer, nil
}
