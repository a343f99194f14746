import com.alicloud.openservices.tablestore.TunnelClient;
import com.alicloud.openservices.tablestore.model.StreamRecord;
import com.alicloud.openservices.tablestore.model.StreamShard;
import com.alicloud.openservices.tablestore.model.tunnel.*;
import com.alicloud.openservices.tablestore.model.tunnel.internal.*;
import com.alicloud.openservices.tablestore.tunnel.worker.*;
import java.util.*;

/** Tunnels, by hand and by the SDK's own worker: all modes, forced rebalancing, splits and merges, resume. */
class Tunnels extends Trial {
    static TunnelClient tunnels;

    static void steps(Map<String, Step> steps) {
        steps.put("tunnel_by_hand", Tunnels::byHand);
        steps.put("tunnel_base", Tunnels::base);
        steps.put("tunnel_stream", Tunnels::stream);
        steps.put("tunnel_base_and_stream", Tunnels::baseAndStream);
        steps.put("tunnel_resumed", Tunnels::resumed);
    }

    static String make(String table, String name, TunnelType type, StreamTunnelConfig config) {
        if (tunnels == null) {
            tunnels = new TunnelClient(endpoint, "ak", "sk", "inst", strict());
        }
        CreateTunnelRequest request = new CreateTunnelRequest(table, name, type);
        request.setStreamTunnelConfig(config);
        return tunnels.createTunnel(request).getTunnelId();
    }

    static List<Channel> beat(String tunnel, String who, Channel... channels) {
        return tunnels.heartbeat(new HeartbeatRequest(tunnel, who, List.of(channels))).getChannels();
    }

    static String join(String tunnel) {
        return tunnels.connectTunnel(new ConnectTunnelRequest(tunnel, new TunnelClientConfig(60, "trial")))
            .getClientId();
    }

    /** Base to its end, then stream, a rebalance between two clients, wrong numbers, a client that is gone. */
    static void byHand() throws Exception {
        create("h", 1, true);
        put("h", 1, "b", 1);
        String tunnel = make("h", "hand", TunnelType.BaseAndStream, null);
        refused("OTSTunnelExist", () -> make("h", "hand", TunnelType.Stream, null));
        same(tunnels.listTunnel(new ListTunnelRequest("h")).getTunnelInfos().size(), 1);
        String first = join(tunnel);
        Channel base = beat(tunnel, first).get(0);
        same(base.getVersion() + " " + base.getStatus(), "1 OPEN");
        GetCheckpointResponse at = tunnels.getCheckpoint(new GetCheckpointRequest(tunnel, first, base.getChannelId()));
        same(at.getSequenceNumber(), 0L);
        ReadRecordsResponse page = tunnels.readRecords(new ReadRecordsRequest(tunnel, first, base.getChannelId(),
            at.getCheckpoint()));
        same(page.getRecords().size(), 1);
        same(page.getNextToken(), null);
        refused("OTSSequenceNumberNotMatch", () -> tunnels.checkpoint(new CheckpointRequest(tunnel, first,
            base.getChannelId(), "finished", 2)));
        tunnels.checkpoint(new CheckpointRequest(tunnel, first, base.getChannelId(), "finished", 1));
        put("h", 2, "b", 2);
        List<Channel> offered = beat(tunnel, first, new Channel(base.getChannelId(), 2, ChannelStatus.TERMINATED));
        same(offered.size(), 1);
        String shard = offered.get(0).getChannelId();
        String token = tunnels.getCheckpoint(new GetCheckpointRequest(tunnel, first, shard)).getCheckpoint();
        page = tunnels.readRecords(new ReadRecordsRequest(tunnel, first, shard, token));
        same(page.getRecords().size(), 1);
        // Not checkpointed: it comes again.
        page = tunnels.readRecords(new ReadRecordsRequest(tunnel, first, shard, token));
        same(page.getRecords().size(), 1);
        String second = join(tunnel);
        same(beat(tunnel, second).size(), 0);
        admin("rebalance", "{\"tunnel\": \"hand\"}");
        Channel closing = beat(tunnel, first, new Channel(shard, 1, ChannelStatus.OPEN)).get(0);
        same(closing.getVersion() + " " + closing.getStatus(), "2 CLOSING");
        tunnels.checkpoint(new CheckpointRequest(tunnel, first, shard, page.getNextToken(), 1));
        same(beat(tunnel, first, new Channel(shard, 3, ChannelStatus.CLOSE)).size(), 0);
        Channel moved = beat(tunnel, second).get(0);
        same(moved.getVersion() + " " + moved.getStatus(), "4 OPEN");
        refused("OTSResourceGone", () -> tunnels.getCheckpoint(new GetCheckpointRequest(tunnel, first, shard)));
        same(tunnels.getCheckpoint(new GetCheckpointRequest(tunnel, second, shard)).getSequenceNumber(), 1L);
        refused("OTSResourceGone", () -> beat(tunnel, second, new Channel(shard, 9, ChannelStatus.CLOSE)));
        tunnels.shutdownTunnel(new ShutdownTunnelRequest(tunnel, second));
        refused("OTSResourceGone", () -> beat(tunnel, second));
        same(beat(tunnel, first).size(), 1);
        DescribeTunnelResponse told = tunnels.describeTunnel(new DescribeTunnelRequest("h", "hand"));
        same(told.getTunnelInfo().getStage(), TunnelStage.ProcessStream);
        same(told.getChannelInfos().size(), 2);
        tunnels.deleteTunnel(new DeleteTunnelRequest("h", "hand"));
        refused("OTSParameterInvalid", () -> beat(tunnel, first));
    }

    /** Applies what the workers are given. */
    static class Follower implements IChannelProcessor {
        final Map<Long, Map<String, Object>> table = new TreeMap<>();
        final Map<String, Integer> first = new HashMap<>();
        final Map<String, Integer> last = new HashMap<>();
        int count;

        public synchronized void process(ProcessRecordsInput input) {
            for (StreamRecord record : input.getRecords()) {
                count++;
                String channel = String.valueOf(input.getChannelId());
                first.putIfAbsent(channel, count);
                last.put(channel, count);
                Trial.apply(table, record);
            }
        }

        public void shutdown() {}

        synchronized boolean has(Map<Long, Map<String, Object>> wanted) {
            return table.equals(wanted);
        }

        synchronized int count() {
            return count;
        }

        TunnelWorker work(String tunnel) throws Exception {
            TunnelWorkerConfig config = new TunnelWorkerConfig(this);
            config.setHeartbeatIntervalInSec(5);
            config.setHeartbeatTimeoutInSec(30);
            config.setCheckpointIntervalInMillis(5000);
            config.setMaxRetryIntervalInMillis(200);
            TunnelWorker worker = new TunnelWorker(tunnel, tunnels, config);
            worker.connectAndWorking();
            return worker;
        }
    }

    interface Wanted {
        boolean is() throws Exception;
    }

    static void await(String what, Wanted wanted) throws Exception {
        long until = System.currentTimeMillis() + 120_000;
        while (!wanted.is()) {
            if (System.currentTimeMillis() > until) {
                throw new AssertionError("waited in vain: " + what);
            }
            Thread.sleep(100);
        }
    }

    static long stirred;

    static void stir(String table, int times) {
        for (int i = 0; i < times; i++) {
            stirred++;
            put(table, stirred % 60, "c" + stirred % 4, stirred);
            if (stirred % 5 == 0) {
                remove(table, (stirred + 7) % 60);
            }
        }
    }

    static boolean ended(String table, String name) {
        return tunnels.describeTunnel(new DescribeTunnelRequest(table, name)).getChannelInfos().stream()
            .allMatch(c -> c.getChannelStatus() == ChannelStatus.TERMINATED);
    }

    static void base() throws Exception {
        admin("settings", "{\"base_page_rows\": 40, \"base_channels\": 3, \"stream_page_records\": 30}");
        create("k", 1, true);
        for (int n = 0; n < 200; n++) {
            put("k", n, "b", n);
        }
        Follower follower = new Follower();
        TunnelWorker worker = follower.work(make("k", "base", TunnelType.BaseData, null));
        await("the base data", () -> follower.has(contents("k")));
        await("the end of all base channels", () -> ended("k", "base"));
        worker.shutdown();
        same(follower.count(), 200);
    }

    static void stream() throws Exception {
        create("st", 1, true);
        stir("st", 50);
        Follower follower = new Follower();
        TunnelWorker worker = follower.work(make("st", "early", TunnelType.Stream,
            new StreamTunnelConfig(StartOffsetFlag.EARLIEST)));
        stir("st", 100);
        await("the stream from its start", () -> follower.has(contents("st")));
        worker.shutdown();
        same(follower.count(), 180);
    }

    static Follower both = new Follower();

    static void baseAndStream() throws Exception {
        create("bs", 1, true);
        stir("bs", 120);
        String tunnel = make("bs", "both", TunnelType.BaseAndStream, null);
        TunnelWorker first = both.work(tunnel);
        stir("bs", 50);
        await("base, then stream", () -> both.has(contents("bs")));
        TunnelWorker second = both.work(tunnel);
        String[][] rounds = {{"split", "{\"table\": \"bs\", \"at\": 30}"}, {"rebalance", "{\"tunnel\": \"both\"}"},
            {"merge", "{\"table\": \"bs\", \"at\": 5}"}, {"rebalance", "{\"tunnel\": \"both\"}"}};
        for (String[] round : rounds) {
            stir("bs", 40);
            admin(round[0], round[1]);
            stir("bs", 40);
            await(round[0], () -> both.has(contents("bs")));
        }
        first.shutdown();
        second.shutdown();
        int relations = 0;
        for (StreamShard shard : Streams.shards(Streams.streamOf("bs"))) {
            for (String parent : new String[] {shard.getParentId(), shard.getParentSiblingId()}) {
                if (parent != null && both.last.containsKey(parent) && both.first.containsKey(shard.getShardId())) {
                    relations++;
                    same(both.last.get(parent) < both.first.get(shard.getShardId()), true);
                }
            }
        }
        same(relations >= 3, true);
    }

    static void resumed() throws Exception {
        Follower follower = new Follower();
        follower.table.putAll(both.table);
        stir("bs", 40);
        String tunnel = tunnels.describeTunnel(new DescribeTunnelRequest("bs", "both")).getTunnelInfo().getTunnelId();
        TunnelWorker worker = follower.work(tunnel);
        await("what was written while nobody read", () -> follower.has(contents("bs")));
        worker.shutdown();
        same(follower.count() >= 48 && follower.count() < both.count(), true);
    }
}
