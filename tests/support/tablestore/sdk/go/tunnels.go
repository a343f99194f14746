// Tunnels through the SDK's own worker: all modes, forced rebalancing, splits and merges, resume, expiry.
package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
	"github.com/aliyun/aliyun-tablestore-go-sdk/tunnel"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const patience = 90 * time.Second

func tunnels() tunnel.TunnelClient { return tunnel.NewTunnelClient(endpoint, "inst", "ak", "sk") }

// follower applies what the workers of a tunnel are given, and notes which channel each record came by.
type follower struct {
	mu       sync.Mutex
	table    map[string]map[string]any
	channels []string // of each record
	clients  map[string]bool
	base     int
	stream   int
}

func newFollower() *follower {
	return &follower{table: map[string]map[string]any{}, clients: map[string]bool{}}
}

func (f *follower) process(c *tunnel.ChannelContext, records []*tunnel.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients[c.ClientId] = true
	for _, record := range records {
		f.channels = append(f.channels, c.ChannelId)
		if strings.HasPrefix(c.ChannelId, "BaseData_") {
			f.base++
			if record.Type != tunnel.AT_Put || record.SequenceInfo != nil {
				return fmt.Errorf("a base record is a put without sequence: %v", record)
			}
		} else {
			f.stream++
		}
		id := fmt.Sprint(record.PrimaryKey.PrimaryKeys[0].Value)
		if record.Type != tunnel.AT_Update {
			delete(f.table, id)
		}
		if record.Type == tunnel.AT_Delete {
			continue
		}
		if f.table[id] == nil {
			f.table[id] = map[string]any{}
		}
		for _, column := range record.Columns {
			if column.Type == tunnel.RCT_Put {
				f.table[id][*column.Name] = column.Value
			} else {
				delete(f.table[id], *column.Name)
			}
		}
	}
	return nil
}

func (f *follower) has(wanted model) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return reflect.DeepEqual(model(f.table), wanted)
}

func (f *follower) count() (base, stream int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.base, f.stream
}

// work starts a worker and gives what ends it.
func (f *follower) work(id string) (stop func()) {
	lg := zap.NewNop()
	config := &tunnel.TunnelWorkerConfig{
		HeartbeatInterval: time.Second, HeartbeatTimeout: 10 * time.Second,
		LogWriteSyncer:   zapcore.AddSync(io.Discard),
		BackoffConfig:    &tunnel.ChannelBackoffConfig{MaxDelay: 200 * time.Millisecond},
		ProcessorFactory: &tunnel.SimpleProcessFactory{ProcessFunc: f.process, CpInterval: 100 * time.Millisecond, Logger: lg},
	}
	worker, err := tunnels().NewTunnelWorker(id, config)
	good(err)
	ended := make(chan error, 1)
	go func() { ended <- worker.ConnectAndWorking() }()
	return func() {
		worker.Shutdown()
		if err := <-ended; err != nil && !strings.Contains(err.Error(), "shut down") &&
			!strings.Contains(err.Error(), "is closed") {
			fail("the worker ended with %v", err)
		}
	}
}

func await(what string, condition func() bool) {
	until := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(until) {
			fail("waited in vain: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func newTunnel(table, name string, kind tunnel.TunnelType, config *tunnel.StreamTunnelConfig) string {
	made, err := tunnels().CreateTunnel(&tunnel.CreateTunnelRequest{TableName: table, TunnelName: name, Type: kind,
		StreamTunnelConfig: config})
	good(err)
	return made.TunnelId
}

func tunnelCalls() {
	withStream("k")
	id := newTunnel("k", "first", tunnel.TunnelTypeBaseStream, nil)
	_, err := tunnels().CreateTunnel(&tunnel.CreateTunnelRequest{TableName: "k", TunnelName: "first",
		Type: tunnel.TunnelTypeStream})
	same(err.(*tunnel.TunnelError).Code, "OTSTunnelExist")
	newTunnel("k", "second", tunnel.TunnelTypeBaseData, nil)
	listed, err := tunnels().ListTunnel(&tunnel.ListTunnelRequest{TableName: "k"})
	good(err)
	same(len(listed.Tunnels), 2)
	told, err := tunnels().DescribeTunnel(&tunnel.DescribeTunnelRequest{TableName: "k", TunnelName: "first"})
	good(err)
	same(told.Tunnel.TunnelId, id)
	same(told.Tunnel.Stage, "ProcessBaseData")
	same(told.Tunnel.StreamId, string(*streamOf("k")))
	for _, name := range []string{"first", "second"} {
		_, err = tunnels().DeleteTunnel(&tunnel.DeleteTunnelRequest{TableName: "k", TunnelName: name})
		good(err)
	}
	_, err = tunnels().DescribeTunnel(&tunnel.DescribeTunnelRequest{TableName: "k", TunnelName: "first"})
	same(err.(*tunnel.TunnelError).Code, "OTSParameterInvalid")
}

func tunnelBase() {
	for n := range 300 {
		write("k", n, columns{"a": int64(n)})
	}
	admin("settings", map[string]any{"base_page_rows": 40, "base_channels": 3})
	id := newTunnel("k", "base", tunnel.TunnelTypeBaseData, nil)
	f := newFollower()
	stop := f.work(id)
	await("the base data", func() bool { return f.has(contents("k")) })
	await("the end of all base channels", func() bool { return allTerminated("k", "base") })
	stop()
	base, stream := f.count()
	same([]int{base, stream}, []int{300, 0})
}

func allTerminated(table, name string) bool {
	told, err := tunnels().DescribeTunnel(&tunnel.DescribeTunnelRequest{TableName: table, TunnelName: name})
	good(err)
	for _, channel := range told.Channels {
		if channel.ChannelStatus != "TERMINATED" {
			return false
		}
	}
	return true
}

// stir changes rows for a while.
func stir(table string, n *int, times int) {
	for range times {
		*n++
		write(table, *n%60, columns{"a": int64(*n), fmt.Sprintf("c%d", *n%4): true})
		if *n%5 == 0 {
			remove(table, (*n+7)%60)
		}
	}
}

func tunnelStream() {
	admin("settings", map[string]any{"stream_page_records": 30})
	withStream("st")
	n := 0
	stir("st", &n, 50)
	early := newTunnel("st", "early", tunnel.TunnelTypeStream, &tunnel.StreamTunnelConfig{Flag: 1})
	late := newTunnel("st", "late", tunnel.TunnelTypeStream, nil)
	f, g := newFollower(), newFollower()
	stopEarly, stopLate := f.work(early), g.work(late)
	stir("st", &n, 100)
	await("the stream from its start", func() bool { return f.has(contents("st")) })
	await("the stream from its end", func() bool { _, stream := g.count(); return stream >= 120 })
	stopEarly()
	stopLate()
	_, all := f.count()
	_, some := g.count()
	same(all, 2+60+120)
	same(some, 120)
}

func tunnelBaseAndStream() {
	withStream("bs")
	n := 0
	stir("bs", &n, 120)
	id := newTunnel("bs", "both", tunnel.TunnelTypeBaseStream, nil)
	f := newFollower()
	stopFirst := f.work(id)
	stir("bs", &n, 50)
	stopSecond := f.work(id)
	await("the stream", func() bool { return f.has(contents("bs")) })
	for round, act := range []func(){
		func() { admin("split", map[string]any{"table": "bs", "at": 30}) },
		func() { admin("rebalance", map[string]any{"tunnel": "both"}) },
		func() { admin("split", map[string]any{"table": "bs", "at": 45}) },
		func() { admin("merge", map[string]any{"table": "bs", "at": 5}) },
		func() { admin("rebalance", map[string]any{"tunnel": "both"}) },
	} {
		stir("bs", &n, 60)
		act()
		stir("bs", &n, 60)
		await(fmt.Sprint("round ", round), func() bool { return f.has(contents("bs")) })
	}
	stopFirst()
	stopSecond()
	same(len(f.clients), 2)
	parentsFirst("bs", f)
	followed = f
}

// parentsFirst: no record of a shard comes after one of its children.
func parentsFirst(table string, f *follower) {
	last, first := map[string]int{}, map[string]int{}
	for i, channel := range f.channels {
		last[channel] = i
		if _, seen := first[channel]; !seen {
			first[channel] = i
		}
	}
	relations := 0
	for _, shard := range shards(streamOf(table)) {
		for _, parent := range []*ots.ShardId{shard.FatherShard, shard.MotherShard} {
			if parent == nil {
				continue
			}
			before, ok := last[string(*parent)]
			after, ok2 := first[string(*shard.SelfShard)]
			if ok && ok2 {
				relations++
				same(before < after, true)
			}
		}
	}
	same(relations >= 4, true)
}

// What tunnelBaseAndStream followed up to its end.
var followed *follower

// tunnelResumed goes on where the last checkpoint was, so some records may come twice, but not the whole stream.
func tunnelResumed() {
	f := newFollower()
	f.table = followed.table
	n := 5000
	stir("bs", &n, 40)
	stop := f.work(tunnelID("bs", "both"))
	await("what was written while nobody read", func() bool { return f.has(contents("bs")) })
	stop()
	base, stream := f.count()
	_, before := followed.count()
	same(base, 0)
	same(stream >= 48 && stream < before, true)
}

func tunnelID(table, name string) string {
	told, err := tunnels().DescribeTunnel(&tunnel.DescribeTunnelRequest{TableName: table, TunnelName: name})
	good(err)
	return told.Tunnel.TunnelId
}

func tunnelExpired() {
	// Behind the retention: no error, but the old records are gone.
	n := 6000
	stir("bs", &n, 20)
	admin("trim", map[string]any{"table": "bs"})
	stir("bs", &n, 10)
	f := newFollower()
	stop := f.work(tunnelID("bs", "both"))
	await("what comes after the gap", func() bool {
		stir("bs", &n, 1)
		_, stream := f.count()
		return stream >= 1
	})
	stop()
	same(f.has(contents("bs")), false)
	admin("expire", map[string]any{"tunnel": "both"})
	worker, err := tunnels().NewTunnelWorker(tunnelID("bs", "both"), &tunnel.TunnelWorkerConfig{
		LogWriteSyncer:   zapcore.AddSync(io.Discard),
		ProcessorFactory: &tunnel.SimpleProcessFactory{ProcessFunc: f.process, Logger: zap.NewNop()}})
	good(err)
	err = worker.ConnectAndWorking()
	same(err.(*tunnel.TunnelError).Code, "OTSTunnelExpired")
}
