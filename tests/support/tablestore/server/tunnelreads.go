// Reading a tunnel: tokens, checkpoints, pages of records.
package main

import (
	"encoding/base64"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel/protocol"
	"github.com/golang/protobuf/proto"
)

const tokenVersion = 1

func token(content *protocol.TokenContent) string {
	inner, _ := proto.Marshal(content)
	outer, _ := proto.Marshal(&protocol.Token{Version: proto.Int64(tokenVersion), Content: inner})
	return base64.StdEncoding.EncodeToString(outer)
}

// baseToken points at a key; nil is the table's start.
func baseToken(table *Table, key []Value) string {
	if key == nil {
		key = make([]Value, len(table.keyNames))
		for i := range key {
			key[i].Kind = kindInfMin
		}
	}
	return token(&protocol.TokenContent{PrimaryKey: plainKey(table.keyNames, key)})
}

func streamToken(place iterator) string {
	return token(&protocol.TokenContent{Iterator: proto.String(place.String())})
}

func readToken(text string) (*protocol.TokenContent, *failure) {
	raw, err := base64.StdEncoding.DecodeString(text)
	outer, inner := &protocol.Token{}, &protocol.TokenContent{}
	if err == nil {
		err = proto.Unmarshal(raw, outer)
	}
	if err == nil {
		err = proto.Unmarshal(outer.Content, inner)
	}
	if err != nil || outer.GetVersion() != tokenVersion {
		return nil, invalid("Invalid token.")
	}
	return inner, nil
}

func readStreamToken(text string) (iterator, *failure) {
	content, failed := readToken(text)
	if failed != nil {
		return iterator{}, failed
	}
	return readIterator(content.GetIterator())
}

func getCheckpoint(w *World, q *protocol.GetCheckpointRequest, c *call) (proto.Message, *failure) {
	_, channel, failed := w.owned(q.GetTunnelId(), q.GetClientId(), q.GetChannelId(), c.at)
	if failed != nil {
		return nil, failed
	}
	return &protocol.GetCheckpointResponse{Checkpoint: proto.String(channel.token),
		SequenceNumber: proto.Int64(channel.sequence)}, nil
}

// checkpoint takes the number after the last one and no other.
func checkpoint(w *World, q *protocol.CheckpointRequest, c *call) (proto.Message, *failure) {
	_, channel, failed := w.owned(q.GetTunnelId(), q.GetClientId(), q.GetChannelId(), c.at)
	if failed != nil {
		return nil, failed
	}
	if q.GetSequenceNumber() != channel.sequence+1 {
		return nil, refuse("OTSSequenceNumberNotMatch", "The sequence number is %d, not %d.", q.GetSequenceNumber(),
			channel.sequence+1)
	}
	if q.GetCheckpoint() != finished {
		if _, failed := readToken(q.GetCheckpoint()); failed != nil {
			return nil, failed
		}
	}
	channel.token, channel.sequence = q.GetCheckpoint(), q.GetSequenceNumber()
	return &protocol.CheckpointResponse{}, nil
}

func readRecords(w *World, q *protocol.ReadRecordsRequest, c *call) (proto.Message, *failure) {
	t, channel, failed := w.owned(q.GetTunnelId(), q.GetClientId(), q.GetChannelId(), c.at)
	if failed != nil {
		return nil, failed
	}
	if q.GetToken() == finished {
		return &protocol.ReadRecordsResponse{NextToken: proto.String(finished)}, nil
	}
	content, failed := readToken(q.GetToken())
	if failed != nil {
		return nil, failed
	}
	if c.emptyPage {
		return &protocol.ReadRecordsResponse{NextToken: q.Token, MayMoreRecord: proto.Bool(true)}, nil
	}
	if channel.base {
		return w.readBase(t, channel, content, c)
	}
	return w.readStream(t, content, c)
}

func (w *World) readBase(t *Tunnel, channel *Channel, content *protocol.TokenContent, c *call) (proto.Message, *failure) {
	table, failed := w.table(t.table)
	if failed != nil {
		return nil, failed
	}
	var wire WireRow
	if err := readRow(content.PrimaryKey, &wire); err != nil {
		return nil, invalid("Invalid token.")
	}
	start, failed := table.readKey(wire.Key, true)
	if failed != nil {
		return nil, failed
	}
	v, failed := table.view(viewRequest{maxVersions: &table.options.maxVersions}, c.at)
	if failed != nil {
		return nil, failed
	}
	s := scan{view: v, start: sortable(start), end: channel.end, mostRows: w.settings.BasePageRows,
		mostSize: streamPageBytes}
	if s.end == "" {
		s.end = "\xFF\xFF"
	}
	page := s.run()
	answer := &protocol.ReadRecordsResponse{NextToken: proto.String(finished)}
	for _, row := range page.rows {
		p := plainRow{buf: plainStart(nil)}
		v.write(&p, row)
		answer.Records = append(answer.Records, &protocol.Record{
			ActionType: protocol.ActionType_PUT_ROW.Enum(), Record: p.buf})
	}
	if page.next != nil {
		answer.NextToken = proto.String(baseToken(table, page.next))
	}
	return answer, nil
}

var tunnelActions = map[otsprotocol.ActionType]*protocol.ActionType{
	otsprotocol.ActionType_PUT_ROW:    protocol.ActionType_PUT_ROW.Enum(),
	otsprotocol.ActionType_UPDATE_ROW: protocol.ActionType_UPDATE_ROW.Enum(),
	otsprotocol.ActionType_DELETE_ROW: protocol.ActionType_DELETE_ROW.Enum(),
}

// readStream goes on with the latest data, without a word, where the token is older than what is kept.
func (w *World) readStream(t *Tunnel, content *protocol.TokenContent, c *call) (proto.Message, *failure) {
	place, failed := readIterator(content.GetIterator())
	if failed != nil {
		return nil, failed
	}
	s, failed := w.stream(place.stream)
	if failed != nil {
		return nil, refuse("OTSTunnelExpired", "The stream of the tunnel is gone.")
	}
	shard := s.shard(place.shard, c.at)
	if shard == nil {
		return &protocol.ReadRecordsResponse{NextToken: proto.String(finished)}, nil
	}
	if place.position < shard.first(s.oldestUs(c.at)) || place.position > shard.end() {
		place.position = shard.end()
	}
	page := shard.read(place.position, w.settings.StreamPageRecords, streamPageBytes)
	answer := &protocol.ReadRecordsResponse{}
	ended := page.closed || t.endUs > 0 && c.at.micros() >= t.endUs && page.next == shard.end()
	for _, record := range page.records {
		if t.endUs > 0 && record.sequence.Micros >= t.endUs {
			ended = true
			break
		}
		answer.Records = append(answer.Records, &protocol.Record{ActionType: tunnelActions[record.action],
			Record: record.body, OriginRecord: record.tunnelOrigin})
	}
	if ended {
		answer.NextToken = proto.String(finished)
		return answer, nil
	}
	place.position = page.next
	if w.settings.FreshIterators {
		place.salt = c.at.wall
	}
	answer.NextToken = proto.String(streamToken(place))
	return answer, nil
}
