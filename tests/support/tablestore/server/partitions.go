// Partitions: the ranges of a table, split and merged on demand; split points for readers.
package main

import (
	"slices"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const splitUnitBytes = 100 << 20

// Partition begins at a value of the first key column and ends where the next begins.
type Partition struct {
	id    string
	start string  // sortable, "" for the first
	point []Value // the first key column, nil for the first
	shard *Shard  // nil without a stream
}

// layOut makes the first partitions: one, or those that CreateTable asks for.
func (t *Table) layOut(w *World, ranges []*otsprotocol.PartitionRange) *failure {
	t.partitions = []*Partition{{id: w.newID(t.name)}}
	for _, part := range ranges {
		value, rest, err := readValue(part.Begin)
		if err != nil || len(rest) > 0 {
			return invalid("Invalid partition range.")
		}
		if value.Kind == kindInfMin {
			continue
		}
		if failed := t.addPartition(w, value); failed != nil {
			return failed
		}
	}
	return nil
}

func (t *Table) addPartition(w *World, at Value) *failure {
	point := []Value{at}
	if at.Kind != keyKinds[t.keyTypes[0]] {
		return invalid("A split point has the type of the first key column.")
	}
	start := sortable(point)
	i := t.partitionOf(start)
	if t.partitions[i].start == start {
		return refuse("OTSObjectAlreadyExist", "A partition begins there.")
	}
	t.partitions = slices.Insert(t.partitions, i+1, &Partition{id: w.newID(t.name), start: start, point: point})
	return nil
}

func (t *Table) partitionOf(key string) int {
	i, found := slices.BinarySearchFunc(t.partitions, key, func(p *Partition, key string) int {
		if p.start < key {
			return -1
		} else if p.start > key {
			return 1
		}
		return 0
	})
	if found {
		return i
	}
	return i - 1
}

// split cuts the partition that holds the value in two. Both halves have new ids, as their shards do.
func (t *Table) split(w *World, at Value, now moment) *failure {
	i := t.partitionOf(sortable([]Value{at}))
	if failed := t.addPartition(w, at); failed != nil {
		return failed
	}
	parent := t.partitions[i]
	low, high := &Partition{id: w.newID(t.name), start: parent.start, point: parent.point}, t.partitions[i+1]
	t.partitions[i] = low
	t.movingUntil = now.wall + w.settings.SplitPauseMs*1_000_000
	if t.stream != nil {
		parent.shard.close(now)
		low.shard = t.stream.addShard(w, now, parent.shard)
		high.shard = t.stream.addShard(w, now, parent.shard)
	}
	return nil
}

// merge joins the partition that holds the value with the next one.
func (t *Table) merge(w *World, at Value, now moment) *failure {
	i := t.partitionOf(sortable([]Value{at}))
	if i+1 >= len(t.partitions) {
		return invalid("There is no partition behind it to merge with.")
	}
	low, high := t.partitions[i], t.partitions[i+1]
	both := &Partition{id: w.newID(t.name), start: low.start, point: low.point}
	if t.stream != nil {
		low.shard.close(now)
		high.shard.close(now)
		both.shard = t.stream.addShard(w, now, low.shard, high.shard)
	}
	t.partitions = slices.Replace(t.partitions, i, i+2, both)
	t.movingUntil = now.wall + w.settings.SplitPauseMs*1_000_000
	return nil
}

// computeSplitPoints cuts at the partitions and, within them, at the asked size. Points are as short as they can be.
func computeSplitPoints(w *World, q *otsprotocol.ComputeSplitPointsBySizeRequest, c *call) (proto.Message, *failure) {
	t, failed := w.readableTable(q.GetTableName(), c)
	if failed != nil {
		return nil, failed
	}
	unit := int64(splitUnitBytes)
	if q.SplitSizeUnitInByte != nil {
		unit = q.GetSplitSizeUnitInByte()
	}
	if q.GetSplitSize() < 1 || unit < 1 {
		return nil, invalid("The split size must be at least 1.")
	}
	answer := &otsprotocol.ComputeSplitPointsBySizeResponse{Consumed: consumed(1, 0), Schema: t.meta().PrimaryKey}
	point := func(key []Value, partition *Partition) {
		if key != nil {
			answer.SplitPoints = append(answer.SplitPoints, plainKey(t.keyNames, key))
		}
		last := len(answer.Locations) - 1
		if last >= 0 && answer.Locations[last].GetLocation() == partition.id {
			*answer.Locations[last].Repeat++
			return
		}
		answer.Locations = append(answer.Locations, &otsprotocol.ComputeSplitPointsBySizeResponse_SplitLocation{
			Location: proto.String(partition.id), Repeat: proto.Int64(1)})
	}
	at, size := 0, int64(0)
	var before *Row
	point(nil, t.partitions[0])
	t.rows.ascend("", func(row *Row) bool {
		for at+1 < len(t.partitions) && row.Key >= t.partitions[at+1].start {
			at++
			size = 0
			point(t.partitions[at].point, t.partitions[at])
		}
		if size >= splitBytes(q.GetSplitSize(), unit) {
			size = 0
			point(shortest(before.Primary, row.Primary), t.partitions[at])
		}
		size += int64(row.Size)
		before = row
		return true
	})
	for at++; at < len(t.partitions); at++ {
		point(t.partitions[at].point, t.partitions[at])
	}
	if q.SplitPointLimit != nil && len(answer.SplitPoints) > int(q.GetSplitPointLimit()) {
		return nil, invalid("More split points than the limit of %d.", q.GetSplitPointLimit())
	}
	return answer, nil
}

func splitBytes(count, unit int64) int64 {
	if count > 1<<62/unit {
		return 1 << 62
	}
	return count * unit
}

// shortest is the shortest start of key that is above before.
func shortest(before, key []Value) []Value {
	for n := 1; n < len(key); n++ {
		if sortable(key[:n]) > sortable(before[:n]) {
			return key[:n]
		}
	}
	return key
}
