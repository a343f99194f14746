// Streams: records, splits and merges with parents read first, trimmed data, a stream switched off and on.
package main

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/common"
	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

func credentialsV4() common.CredentialsProvider {
	return common.CreateByCredentials(&common.DefaultCredentials{AccessKeyID: "ak", AccessKeySecret: "sk"}, "cn-hangzhou")
}

func streamOf(table string) *ots.StreamId {
	told, err := client.DescribeTable(&ots.DescribeTableRequest{TableName: table})
	good(err)
	return told.StreamDetails.StreamId
}

// shards asks page by page.
func shards(stream *ots.StreamId) []*ots.StreamShard {
	var all []*ots.StreamShard
	limit := int32(2)
	request := &ots.DescribeStreamRequest{StreamId: stream, ShardLimit: &limit}
	for {
		answer, err := client.DescribeStream(request)
		good(err)
		all = append(all, answer.Shards...)
		if answer.NextShardId == nil {
			return all
		}
		request.InclusiveStartShardId = answer.NextShardId
	}
}

func iteratorOf(stream *ots.StreamId, shard *ots.ShardId, micros *int64) *ots.ShardIterator {
	request := &ots.GetShardIteratorRequest{StreamId: stream, ShardId: shard, Timestamp: micros}
	for {
		answer, err := client.GetShardIterator(request)
		good(err)
		if answer.Token == nil {
			return answer.ShardIterator
		}
		request.Token = answer.Token
	}
}

// readShard reads until caught up; closed: the shard has ended.
func readShard(iterator *ots.ShardIterator) (records []*ots.StreamRecord, next *ots.ShardIterator, closed bool) {
	for {
		limit := int32(7)
		answer, err := client.GetStreamRecord(&ots.GetStreamRecordRequest{ShardIterator: iterator, Limit: &limit})
		good(err)
		records = append(records, answer.Records...)
		if answer.NextShardIterator == nil {
			return records, nil, true
		}
		more := answer.MayMoreRecord != nil && *answer.MayMoreRecord
		if len(answer.Records) == 0 && !more {
			return records, answer.NextShardIterator, false
		}
		iterator = answer.NextShardIterator
	}
}

func withStream(name string) {
	good(create(name, 1, &ots.StreamSpecification{EnableStream: true, ExpirationTime: 24, OriginColumnsToGet: []string{"a"}}))
	write(name, 0, columns{"a": int64(0)})
	remove(name, 0)
}

func streamRecords() {
	withStream("s")
	stream := streamOf("s")
	listed, err := client.ListStream(&ots.ListStreamRequest{})
	good(err)
	same(len(listed.Streams), 1)
	all := shards(stream)
	same(len(all), 1)
	_, start, _ := readShard(iteratorOf(stream, all[0].SelfShard, nil))

	before := time.Now().UnixMicro()
	write("s", 1, columns{"a": int64(1)})
	change := &ots.UpdateRowChange{TableName: "s", PrimaryKey: key(1)}
	change.PutColumn("b", "x")
	change.DeleteColumn("c")
	change.DeleteColumnWithTimestamp("d", 1700000000123)
	change.IncrementColumn("a", 4)
	change.SetCondition(ots.RowExistenceExpectation_IGNORE)
	_, err = client.UpdateRow(&ots.UpdateRowRequest{UpdateRowChange: change})
	good(err)
	remove("s", 1)
	remove("s", 2)
	admin("fault", map[string]any{"operation": "GetStreamRecord", "kind": "empty_page", "times": 2})
	records, same1, closed := readShard(start)
	same(closed, false)
	same(len(records), 4)
	same([]ots.ActionType{records[0].Type, records[1].Type, records[2].Type, records[3].Type},
		[]ots.ActionType{ots.AT_Put, ots.AT_Update, ots.AT_Delete, ots.AT_Delete})
	told := map[string]*ots.RecordColumn{}
	for _, column := range records[1].Columns {
		told[*column.Name] = column
	}
	same(told["a"].Value, int64(5))
	same(told["b"].Value, "x")
	same(told["c"].Type, ots.RCT_DeleteAllVersions)
	same(told["d"].Type, ots.RCT_DeleteOneVersion)
	same(*told["d"].Timestamp, int64(1700000000123))
	same(records[2].OriginColumns[0].Value, int64(5))
	for i, record := range records {
		same(record.Info.Timestamp >= before, true)
		if i > 0 {
			last := records[i-1].Info
			same(last.Timestamp < record.Info.Timestamp || last.RowIndex < record.Info.RowIndex, true)
		}
	}
	// Caught up: nothing, and the same iterator.
	records, again, _ := readShard(same1)
	same(len(records), 0)
	same(*again, *same1)
	early := before - 10*60*1_000_000
	records, _, _ = readShard(iteratorOf(stream, all[0].SelfShard, &early))
	same(len(records), 6)
	admin("fault", map[string]any{"operation": "GetShardIterator", "kind": "again", "times": 1})
	records, _, _ = readShard(iteratorOf(stream, all[0].SelfShard, nil))
	same(len(records), 6)
}

// model is a table made of records.
type model map[string]map[string]any

func (m model) apply(record *ots.StreamRecord) {
	id := fmt.Sprint(record.PrimaryKey.PrimaryKeys[0].Value)
	if record.Type != ots.AT_Update {
		delete(m, id)
	}
	if record.Type == ots.AT_Delete {
		return
	}
	if m[id] == nil {
		m[id] = map[string]any{}
	}
	for _, column := range record.Columns {
		if column.Type == ots.RCT_Put {
			m[id][*column.Name] = column.Value
		} else {
			delete(m[id], *column.Name)
		}
	}
}

// contents is the table as GetRange shows it.
func contents(table string) model {
	m := model{}
	start := bound(true)
	for start != nil {
		answer, err := client.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: &ots.RangeRowQueryCriteria{
			TableName: table, StartPrimaryKey: start, EndPrimaryKey: bound(false), MaxVersion: 1}})
		good(err)
		for _, row := range answer.Rows {
			id := fmt.Sprint(row.PrimaryKey.PrimaryKeys[0].Value)
			m[id] = map[string]any{}
			for _, column := range row.Columns {
				m[id][column.ColumnName] = column.Value
			}
		}
		start = answer.NextStartPrimaryKey
	}
	return m
}

func streamSplitsAndMerges() {
	withStream("m")
	n := 0
	some := func() {
		for range 40 {
			n++
			write("m", n%25, columns{"a": int64(n)})
			if n%7 == 0 {
				remove("m", (n+3)%25)
			}
		}
	}
	some()
	admin("split", map[string]any{"table": "m", "at": 10})
	some()
	admin("split", map[string]any{"table": "m", "at": 20})
	some()
	admin("merge", map[string]any{"table": "m", "at": 5})
	some()
	stream := streamOf("m")
	all := shards(stream)
	same(len(all), 6)
	done := map[ots.ShardId]bool{}
	followed := model{}
	parents := 0
	for len(done) < len(all) {
		before := len(done)
		for _, shard := range all {
			ready := !done[*shard.SelfShard]
			for _, parent := range []*ots.ShardId{shard.FatherShard, shard.MotherShard} {
				if parent != nil {
					parents++
					ready = ready && done[*parent]
				}
			}
			if !ready {
				continue
			}
			records, _, closed := readShard(iteratorOf(stream, shard.SelfShard, nil))
			for _, record := range records {
				followed.apply(record)
			}
			hasChildren := slices.ContainsFunc(all, func(other *ots.StreamShard) bool {
				return reflect.DeepEqual(other.FatherShard, shard.SelfShard) ||
					reflect.DeepEqual(other.MotherShard, shard.SelfShard)
			})
			same(closed, hasChildren)
			done[*shard.SelfShard] = true
		}
		same(len(done) > before, true)
	}
	same(parents > 0, true)
	same(followed, contents("m"))
}

func streamTrimmed() {
	stream := streamOf("m")
	var open *ots.ShardId
	for _, shard := range shards(stream) {
		if _, _, closed := readShard(iteratorOf(stream, shard.SelfShard, nil)); !closed {
			open = shard.SelfShard
		}
	}
	old := iteratorOf(stream, open, nil)
	admin("trim", map[string]any{"table": "m"})
	_, err := client.GetStreamRecord(&ots.GetStreamRecordRequest{ShardIterator: old})
	refused(err, "OTSTrimmedDataAccess")
	records, fresh, _ := readShard(iteratorOf(stream, open, nil))
	same(len(records), 0)
	// Past the retention: trimmed by time, and the closed shards are no longer told of.
	for n := range 25 {
		write("m", n, columns{"a": int64(1)})
	}
	admin("clock", map[string]any{"add_ms": 25 * 3_600_000})
	_, err = client.GetStreamRecord(&ots.GetStreamRecordRequest{ShardIterator: fresh})
	refused(err, "OTSTrimmedDataAccess")
	same(len(shards(stream)), 2)
	admin("clock", map[string]any{"shift_ms": 0})
}

func streamOffAndOn() {
	old := streamOf("m")
	spec := &ots.StreamSpecification{}
	_, err := client.UpdateTable(&ots.UpdateTableRequest{TableName: "m", StreamSpec: spec})
	good(err)
	_, err = client.DescribeStream(&ots.DescribeStreamRequest{StreamId: old})
	refused(err, "OTSObjectNotExist")
	spec.EnableStream, spec.ExpirationTime = true, 24
	_, err = client.UpdateTable(&ots.UpdateTableRequest{TableName: "m", StreamSpec: spec})
	good(err)
	same(*streamOf("m") != *old, true)
	_, err = client.DeleteTable(&ots.DeleteTableRequest{TableName: "m"})
	good(err)
}
