// Iterators: places in a shard, and reading from them.
package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const (
	// A page of a stream ends after this many bytes.
	streamPageBytes = 1 << 20
	// An iterator for a time may point this many records before it.
	recordsTooEarly = 10
)

type iterator struct {
	stream   string
	shard    string
	position int64
	salt     int64 // makes two iterators for one position differ
}

func (i iterator) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s\n%s\n%d\n%d", i.stream, i.shard, i.position, i.salt))
}

func readIterator(text string) (iterator, *failure) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.Split(string(raw), "\n")
	if err != nil || len(parts) != 4 {
		return iterator{}, invalid("Invalid shard iterator.")
	}
	position, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return iterator{}, invalid("Invalid shard iterator.")
	}
	salt, _ := strconv.ParseInt(parts[3], 10, 64)
	return iterator{parts[0], parts[1], position, salt}, nil
}

func (w *World) shardOf(stream, shard string, at moment) (*Stream, *Shard, *failure) {
	s, failed := w.stream(stream)
	if failed != nil {
		return nil, nil, failed
	}
	if found := s.shard(shard, at); found != nil {
		return s, found, nil
	}
	return nil, nil, missing("Requested shard does not exist.")
}

// The token of a GetShardIterator that wants to be asked again.
const askAgain = "again"

func getShardIterator(w *World, q *otsprotocol.GetShardIteratorRequest, c *call) (proto.Message, *failure) {
	s, shard, failed := w.shardOf(q.GetStreamId(), q.GetShardId(), c.at)
	if failed != nil {
		return nil, failed
	}
	place := iterator{stream: s.id, shard: shard.id, position: shard.first(s.oldestUs(c.at))}
	if q.Timestamp != nil {
		found := shard.base + int64(shard.firstSince(q.GetTimestamp()+w.settings.IteratorLateMs*1000))
		place.position = max(place.position, found-recordsTooEarly)
	}
	answer := &otsprotocol.GetShardIteratorResponse{}
	if c.token && q.GetToken() != askAgain {
		place.position = shard.end()
		answer.NextToken = proto.String(askAgain)
	}
	answer.ShardIterator = proto.String(place.String())
	return answer, nil
}

// found is a page of a shard.
type found struct {
	records []*Record
	next    int64
	closed  bool // nothing comes after the page
}

func (s *Shard) read(from int64, most, mostBytes int) found {
	f := found{next: from}
	size := 0
	for _, record := range s.records[from-s.base:] {
		if len(f.records) >= most || size >= mostBytes {
			return f
		}
		f.records = append(f.records, record)
		size += len(record.body) + len(record.origin)
		f.next++
	}
	f.closed = s.closedUs > 0
	return f
}

func getStreamRecord(w *World, q *otsprotocol.GetStreamRecordRequest, c *call) (proto.Message, *failure) {
	place, failed := readIterator(q.GetShardIterator())
	if failed != nil {
		return nil, failed
	}
	s, shard, failed := w.shardOf(place.stream, place.shard, c.at)
	if failed != nil {
		return nil, failed
	}
	if place.position < shard.first(s.oldestUs(c.at)) {
		return nil, refuse("OTSTrimmedDataAccess", "Requested stream data is already trimmed or does not exist.")
	}
	if place.position > shard.end() {
		return nil, invalid("Invalid shard iterator.")
	}
	most := w.settings.StreamPageRecords
	if q.Limit != nil {
		if q.GetLimit() < 1 {
			return nil, invalid("The limit must be greater than 0.")
		}
		most = min(most, int(q.GetLimit()))
	}
	answer := &otsprotocol.GetStreamRecordResponse{Consumed: consumed(1, 0)}
	if c.emptyPage {
		place.salt = c.at.wall
		answer.NextShardIterator = proto.String(place.String())
		answer.MayMoreRecord = proto.Bool(true)
		return answer, nil
	}
	page := shard.read(place.position, most, streamPageBytes)
	for _, record := range page.records {
		answer.StreamRecords = append(answer.StreamRecords, &otsprotocol.GetStreamRecordResponse_StreamRecord{
			ActionType: record.action.Enum(), Record: record.body, OriginRecord: record.origin})
	}
	if !page.closed {
		// Nothing new: the very same iterator, unless told otherwise.
		if w.settings.FreshIterators {
			place.salt = c.at.wall
		}
		place.position = page.next
		answer.NextShardIterator = proto.String(place.String())
	}
	return answer, nil
}
