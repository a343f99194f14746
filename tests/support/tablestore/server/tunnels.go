// Tunnels: made, listed, described, dropped.
package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel/protocol"
	"github.com/golang/protobuf/proto"
)

const (
	finished = "finished"
	// A start time must be this far from the end of the retention.
	startMarginUs = 5 * 60 * 1_000_000
)

type Tunnel struct {
	id        string
	name      string
	table     string
	stream    string // "" for base data alone
	kind      protocol.TunnelType
	config    *protocol.StreamTunnelConfig
	createdNs int64
	endUs     int64 // 0: never
	expired   bool
	switched  bool       // base data are through
	channels  []*Channel // parents first
	clients   map[string]*Client
	joined    []string // ids of clients by age
	doubtful  int      // channels ended by a client without a checkpoint that says so
}

func (t *Tunnel) channel(id string) *Channel {
	for _, channel := range t.channels {
		if channel.id == id {
			return channel
		}
	}
	return nil
}

func (t *Tunnel) hasBase() bool   { return t.kind != protocol.TunnelType_Stream }
func (t *Tunnel) hasStream() bool { return t.kind != protocol.TunnelType_BaseData }

func (w *World) tunnelNamed(table, name, id string) (*Tunnel, *failure) {
	for _, t := range w.tunnels {
		if t.table == table && t.name == name && (id == "" || id == t.id) {
			return t, nil
		}
	}
	return nil, invalid("The tunnel does not exist.")
}

func createTunnel(w *World, q *protocol.CreateTunnelRequest, c *call) (proto.Message, *failure) {
	asked := q.Tunnel
	table, failed := w.table(asked.GetTableName())
	if failed != nil {
		return nil, failed
	}
	if !goodName.MatchString(asked.GetTunnelName()) {
		return nil, invalid("Invalid tunnel name: '%s'.", asked.GetTunnelName())
	}
	if _, failed := w.tunnelNamed(table.name, asked.GetTunnelName(), ""); failed == nil {
		return nil, refuse("OTSTunnelExist", "The tunnel exists already.")
	}
	t := &Tunnel{
		name: asked.GetTunnelName(), table: table.name, kind: asked.GetTunnelType(), createdNs: c.at.nanos(),
		clients: map[string]*Client{}, config: asked.StreamTunnelConfig,
	}
	if t.hasStream() && table.stream == nil {
		return nil, invalid("The table '%s' has no stream.", table.name)
	}
	if t.hasBase() {
		t.addBaseChannels(w, table)
	}
	if t.hasStream() {
		t.stream = table.stream.id
		if failed := t.addStreamChannels(table.stream, c.at); failed != nil {
			return nil, failed
		}
	}
	t.id = w.newID("tunnel")
	w.tunnels[t.id] = t
	return &protocol.CreateTunnelResponse{TunnelId: &t.id}, nil
}

// addBaseChannels cuts the table into ranges of about the same number of rows.
func (t *Tunnel) addBaseChannels(w *World, table *Table) {
	every := table.rows.count/max(w.settings.BaseChannels, 1) + 1
	starts := [][]Value{nil}
	seen := 0
	table.rows.ascend("", func(row *Row) bool {
		if seen > 0 && seen%every == 0 {
			starts = append(starts, row.Primary)
		}
		seen++
		return true
	})
	for i, start := range starts {
		channel := &Channel{id: "BaseData_" + w.newID("base"), base: true, status: waiting}
		channel.token = baseToken(table, start)
		if i+1 < len(starts) {
			channel.end = sortable(starts[i+1])
		}
		t.channels = append(t.channels, channel)
	}
}

// addStreamChannels places the tunnel in the stream: at its end, its start, or a time.
func (t *Tunnel) addStreamChannels(s *Stream, at moment) *failure {
	fromUs := int64(-1) // latest
	if t.kind == protocol.TunnelType_Stream && t.config != nil {
		switch start := int64(t.config.GetStartOffset()) / 1000; {
		case start > 0:
			if start < s.oldestUs(at)+startMarginUs || start >= at.micros() {
				return invalid("The start time is outside the retention.")
			}
			fromUs = start
		case t.config.GetFlag() == protocol.StartOffsetFlag_EARLIEST:
			fromUs = 0
		}
		t.endUs = int64(t.config.GetEndOffset()) / 1000
		if t.endUs > 0 && fromUs > 0 && t.endUs <= fromUs {
			return invalid("The end time is not after the start time.")
		}
	}
	for _, shard := range s.shards {
		if s.forgotten(shard, at) || shard.closedUs > 0 && (fromUs < 0 || fromUs > shard.closedUs) {
			continue
		}
		position := shard.end()
		if fromUs >= 0 {
			position = max(shard.first(s.oldestUs(at)), shard.base+int64(shard.firstSince(fromUs)))
		}
		t.channels = append(t.channels, streamChannel(s, shard, position))
	}
	return nil
}

func streamChannel(s *Stream, shard *Shard, position int64) *Channel {
	return &Channel{id: shard.id, parents: shard.parents, status: waiting,
		token: streamToken(iterator{stream: s.id, shard: shard.id, position: position})}
}

func (w *World) tunnelInfo(t *Tunnel, at moment) *protocol.TunnelInfo {
	stage := "ProcessStream"
	if t.hasBase() && !t.switched {
		stage = "ProcessBaseData"
	}
	return &protocol.TunnelInfo{
		TunnelId: &t.id, TunnelType: proto.String(t.kind.String()), TableName: &t.table, InstanceName: &w.instance,
		StreamId: &t.stream, Stage: &stage, Expired: proto.Bool(w.hasExpired(t, at)), TunnelName: &t.name, Public: proto.Bool(false),
		StreamTunnelConfig: t.config, CreateTime: &t.createdNs,
	}
}

func listTunnel(w *World, q *protocol.ListTunnelRequest, c *call) (proto.Message, *failure) {
	answer := &protocol.ListTunnelResponse{}
	for _, id := range slices.Sorted(maps.Keys(w.tunnels)) {
		if t := w.tunnels[id]; q.TableName == nil || q.GetTableName() == t.table {
			answer.Tunnels = append(answer.Tunnels, w.tunnelInfo(t, c.at))
		}
	}
	return answer, nil
}

func describeTunnel(w *World, q *protocol.DescribeTunnelRequest, c *call) (proto.Message, *failure) {
	t, failed := w.tunnelNamed(q.GetTableName(), q.GetTunnelName(), q.GetTunnelId())
	if failed != nil {
		return nil, failed
	}
	answer := &protocol.DescribeTunnelResponse{Tunnel: w.tunnelInfo(t, c.at)}
	lowest := c.at.nanos()
	for _, channel := range t.channels {
		kind, rpo := "BaseData", int64(0)
		if !channel.base {
			kind, rpo = "Stream", w.consumedUntil(channel, c.at)
			if channel.status != terminated {
				lowest = min(lowest, rpo)
			}
		}
		answer.Channels = append(answer.Channels, &protocol.ChannelInfo{
			ChannelId: &channel.id, ChannelType: &kind, ChannelStatus: proto.String(string(channel.status)),
			ClientId: &channel.client, ChannelRpo: &rpo, ChannelCount: proto.Int64(channel.sequence)})
	}
	answer.TunnelRpo = &lowest
	return answer, nil
}

// consumedUntil is the time up to which a stream channel has been checkpointed.
func (w *World) consumedUntil(channel *Channel, at moment) int64 {
	place, failed := readStreamToken(channel.token)
	if failed != nil {
		return at.nanos()
	}
	_, shard, failed := w.shardOf(place.stream, place.shard, at)
	if failed != nil {
		return at.nanos()
	}
	next := max(place.position, shard.base)
	if next >= shard.end() {
		return at.nanos()
	}
	return shard.records[next-shard.base].sequence.Micros * 1000
}

func deleteTunnel(w *World, q *protocol.DeleteTunnelRequest, _ *call) (proto.Message, *failure) {
	t, failed := w.tunnelNamed(q.GetTableName(), q.GetTunnelName(), q.GetTunnelId())
	if failed != nil {
		return nil, failed
	}
	delete(w.tunnels, t.id)
	return &protocol.DeleteTunnelResponse{}, nil
}

// tell is a line of the tunnel for people.
func (t *Tunnel) tell() string {
	var lines []string
	for _, channel := range t.channels {
		lines = append(lines, fmt.Sprintf("%s %s v%d %s", channel.id, channel.status, channel.version, channel.client))
	}
	return strings.Join(lines, "\n")
}
