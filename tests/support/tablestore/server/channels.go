// Channels of a tunnel: who has which, and how they move between clients.
package main

import (
	"slices"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel/protocol"
	"github.com/golang/protobuf/proto"
)

type status string

const (
	waiting    status = "WAIT"
	open       status = "OPEN"
	closing    status = "CLOSING"
	terminated status = "TERMINATED"
)

const defaultTimeoutSeconds = 300

type Channel struct {
	id       string
	base     bool
	end      string   // of the range of a base channel, "" for the table's end
	parents  []string // shards to be read before this one
	version  int64
	status   status
	client   string
	avoid    string // the client it was taken from
	token    string
	sequence int64
}

type Client struct {
	id        string
	tag       string
	beatNs    int64
	timeoutNs int64
}

func (c *Client) gone(at moment) bool { return at.wall > c.beatNs+c.timeoutNs }

func (w *World) tunnel(id string, at moment) (*Tunnel, *failure) {
	t, ok := w.tunnels[id]
	if !ok {
		return nil, invalid("The tunnel does not exist.")
	}
	if w.hasExpired(t, at) {
		return nil, refuse("OTSTunnelExpired", "The tunnel has expired.")
	}
	return t, nil
}

func (w *World) tunnelClient(tunnel, client string, at moment) (*Tunnel, *Client, *failure) {
	t, failed := w.tunnel(tunnel, at)
	if failed != nil {
		return nil, nil, failed
	}
	c, ok := t.clients[client]
	if !ok || c.gone(at) {
		return nil, nil, refuse("OTSResourceGone", "The client is gone.")
	}
	return t, c, nil
}

// owned is a channel in the hands of the client that asks.
func (w *World) owned(tunnel, client, channel string, at moment) (*Tunnel, *Channel, *failure) {
	t, _, failed := w.tunnelClient(tunnel, client, at)
	if failed != nil {
		return nil, nil, failed
	}
	found := t.channel(channel)
	if found == nil || found.client != client {
		return nil, nil, refuse("OTSResourceGone", "The channel is not the client's.")
	}
	return t, found, nil
}

func connectTunnel(w *World, q *protocol.ConnectRequest, c *call) (proto.Message, *failure) {
	t, failed := w.tunnel(q.GetTunnelId(), c.at)
	if failed != nil {
		return nil, failed
	}
	seconds := q.GetClientConfig().GetTimeout()
	if seconds <= 0 {
		seconds = defaultTimeoutSeconds
	}
	client := &Client{id: w.newID("client"), tag: q.GetClientConfig().GetClientTag(), beatNs: c.at.wall,
		timeoutNs: seconds * 1_000_000_000}
	t.clients[client.id] = client
	t.joined = append(t.joined, client.id)
	return &protocol.ConnectResponse{ClientId: &client.id}, nil
}

// leave takes everything from a client.
func (t *Tunnel) leave(client string) {
	delete(t.clients, client)
	t.joined = slices.DeleteFunc(t.joined, func(id string) bool { return id == client })
	for _, channel := range t.channels {
		if channel.client == client {
			channel.client = ""
			if channel.status != terminated {
				channel.status = waiting
				channel.version++
			}
		}
	}
}

func shutdownTunnel(w *World, q *protocol.ShutdownRequest, c *call) (proto.Message, *failure) {
	t, client, failed := w.tunnelClient(q.GetTunnelId(), q.GetClientId(), c.at)
	if failed != nil {
		return nil, failed
	}
	t.leave(client.id)
	return &protocol.ShutdownResponse{}, nil
}

func heartbeat(w *World, q *protocol.HeartbeatRequest, c *call) (proto.Message, *failure) {
	t, client, failed := w.tunnelClient(q.GetTunnelId(), q.GetClientId(), c.at)
	if failed != nil {
		return nil, failed
	}
	if failed := t.check(q, client); failed != nil {
		return nil, failed
	}
	client.beatNs = c.at.wall
	t.hear(q, client)
	for _, id := range slices.Clone(t.joined) {
		if t.clients[id].gone(c.at) {
			t.leave(id)
		}
	}
	t.follow(w, c.at)
	t.assign(client)
	t.balance()
	answer := &protocol.HeartbeatResponse{}
	for _, channel := range t.channels {
		if channel.client == client.id && channel.status != terminated {
			told := protocol.ChannelStatus_OPEN
			if channel.status == closing {
				told = protocol.ChannelStatus_CLOSING
			}
			answer.Channels = append(answer.Channels, &protocol.Channel{
				ChannelId: proto.String(channel.id), Version: proto.Int64(channel.version), Status: &told})
		}
	}
	return answer, nil
}

// check refuses a report that no client may make, before anything is changed.
func (t *Tunnel) check(q *protocol.HeartbeatRequest, client *Client) *failure {
	for _, told := range q.Channels {
		channel := t.channel(told.GetChannelId())
		if channel == nil || channel.client != client.id || told.GetVersion() <= channel.version {
			continue
		}
		ended := told.GetStatus() == protocol.ChannelStatus_CLOSE || told.GetStatus() == protocol.ChannelStatus_TERMINATED
		if !ended || told.GetVersion() != channel.version+1 {
			return refuse("OTSResourceGone", "The version of channel '%s' conflicts.", channel.id)
		}
	}
	return nil
}

// hear takes note of what the client closed and ended.
func (t *Tunnel) hear(q *protocol.HeartbeatRequest, client *Client) {
	for _, told := range q.Channels {
		channel := t.channel(told.GetChannelId())
		if channel == nil || channel.client != client.id || told.GetVersion() <= channel.version {
			continue
		}
		channel.version = told.GetVersion()
		if told.GetStatus() == protocol.ChannelStatus_TERMINATED {
			channel.status = terminated
			if channel.token != finished {
				t.doubtful++
			}
			continue
		}
		if channel.status == closing {
			channel.avoid = client.id
		}
		channel.status, channel.client = waiting, ""
	}
}

// hasExpired: somebody ordered it, or the base data took so long that what was written meanwhile is not all there.
func (w *World) hasExpired(t *Tunnel, at moment) bool {
	if t.expired || !t.hasBase() || !t.hasStream() || t.switched {
		return t.expired
	}
	s, failed := w.stream(t.stream)
	return failed != nil || t.createdNs/1000 < s.oldestUs(at)
}

// follow switches to the stream, and takes up the shards that came out of splits and merges.
func (t *Tunnel) follow(w *World, at moment) {
	if t.hasBase() && !t.switched {
		for _, channel := range t.channels {
			if channel.base && channel.status != terminated {
				return
			}
		}
		t.switched = true
	}
	s, failed := w.stream(t.stream)
	if !t.hasStream() || failed != nil {
		return
	}
	for _, shard := range s.shards {
		if t.channel(shard.id) != nil {
			continue
		}
		if slices.ContainsFunc(shard.parents, func(id string) bool { return t.channel(id) != nil }) {
			t.channels = append(t.channels, streamChannel(s, shard, shard.base))
		}
	}
}

// offered: base channels first, then stream channels whose parents have ended.
func (t *Tunnel) offered(channel *Channel) bool {
	if channel.status != waiting {
		return false
	}
	if channel.base {
		return true
	}
	if t.hasBase() && !t.switched {
		return false
	}
	for _, id := range channel.parents {
		if parent := t.channel(id); parent != nil && parent.status != terminated {
			return false
		}
	}
	return true
}

func (t *Tunnel) load(client string) (has, isClosing int) {
	for _, channel := range t.channels {
		if channel.client == client && channel.status != terminated {
			has++
			if channel.status == closing {
				isClosing++
			}
		}
	}
	return has, isClosing
}

// assign gives the client what is free and would not be better with another.
func (t *Tunnel) assign(client *Client) {
	for _, channel := range t.channels {
		if !t.offered(channel) || channel.avoid == client.id && len(t.joined) > 1 {
			continue
		}
		mine, _ := t.load(client.id)
		better := slices.ContainsFunc(t.joined, func(other string) bool {
			theirs, _ := t.load(other)
			return other != client.id && other != channel.avoid && theirs < mine
		})
		if !better {
			channel.client, channel.avoid, channel.status = client.id, "", open
			channel.version++
		}
	}
}

// balance asks clients with more than their share to give some back.
func (t *Tunnel) balance() {
	total := 0
	for _, id := range t.joined {
		has, _ := t.load(id)
		total += has
	}
	share := (total + len(t.joined) - 1) / max(len(t.joined), 1)
	for _, id := range t.joined {
		has, giving := t.load(id)
		for _, channel := range t.channels {
			if has-giving > share && channel.client == id && channel.status == open {
				channel.close()
				giving++
			}
		}
	}
}

// close asks the client to give the channel back.
func (c *Channel) close() {
	if c.status == open {
		c.status = closing
		c.version++
	}
}

// rebalance closes all open channels, or those of one client, or one.
func (t *Tunnel) rebalance(client, channel string) int {
	closed := 0
	for _, c := range t.channels {
		if c.status == open && (client == "" || client == c.client) && (channel == "" || channel == c.id) {
			c.close()
			closed++
		}
	}
	return closed
}

func scheduleTunnel(w *World, q *protocol.ScheduleRequest, c *call) (proto.Message, *failure) {
	t, failed := w.tunnel(q.GetTunnelId(), c.at)
	if failed != nil {
		return nil, failed
	}
	for _, asked := range q.Channels {
		if asked.GetStatus() != protocol.ChannelStatus_CLOSING || t.channel(asked.GetChannelId()) == nil {
			return nil, invalid("Only CLOSING of a channel that is there can be scheduled.")
		}
	}
	for _, asked := range q.Channels {
		t.channel(asked.GetChannelId()).close()
	}
	return &protocol.ScheduleResponse{}, nil
}
