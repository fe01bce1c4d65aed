import java.io.BufferedWriter;
import java.io.File;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.QueryMessageResult;
import org.apache.rocketmq.store.SelectMappedBufferResult;
import org.apache.rocketmq.store.config.FlushDiskType;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * Java's own message store over one directory: open (which recovers), append, dump, query, close. What it dumps has the
 * same form as what interop/peers/store-dump.ts takes from a store of ours, so that the two are compared as they are.
 */
public final class StorePeer {
    /** Between a topic and a tag in what the index files (MessageConst.INDEX_TAG_TYPE). */
    private static final String TAG_MARK = "#T#";
    private static DefaultMessageStore store;
    private static BrokerStatsManager statistics;

    private StorePeer() {
    }

    public static void main(String[] argv) throws Exception {
        Map<String, Peer.Command> commands = new HashMap<>();
        commands.put("store.open", StorePeer::open);
        commands.put("store.append", args -> Appends.append(store, args));
        commands.put("store.appendVaried", args -> Varied.append(store, args));
        commands.put("store.status", args -> offsets());
        commands.put("store.dump", StorePeer::dump);
        commands.put("store.look", args -> {
            MessageExt message = store.lookMessageByOffset(Long.parseLong(args.text("offset")));
            return message == null ? "none" : describe(message);
        });
        commands.put("store.close", args -> {
            store.shutdown();
            statistics.shutdown();
            return "closed";
        });
        Peer.serve(commands);
    }

    private static Object open(Peer.Args args) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(args.text("dir"));
        config.setStorePathCommitLog(args.text("dir") + File.separator + "commitlog");
        config.setFlushDiskType(FlushDiskType.valueOf(args.text("flushDiskType")));
        config.setMappedFileSizeCommitLog(args.number("mappedFileSizeCommitLog"));
        config.setMappedFileSizeConsumeQueue(args.number("mappedFileSizeConsumeQueue"));
        config.setMaxHashSlotNum(args.number("maxHashSlotNum"));
        config.setMaxIndexNum(args.number("maxIndexNum"));
        config.setHaListenPort(0);
        config.setTimerWheelEnable(false);
        config.setEnabledAppendPropCRC(args.text("enabledAppendPropCRC", "false").equals("true"));
        BrokerConfig broker = new BrokerConfig();
        statistics = new BrokerStatsManager(broker);
        store = new DefaultMessageStore(config, statistics,
            (topic, queueId, logicOffset, tagsCode, timestamp, bitMap, properties) -> { }, broker, new ConcurrentHashMap<>());
        if (!store.load()) {
            throw new IllegalStateException("DefaultMessageStore.load() answered false");
        }
        store.start();
        settle();
        return offsets();
    }

    private static Map<String, Object> offsets() {
        Map<String, Object> answer = new TreeMap<>();
        answer.put("minPhyOffset", store.getMinPhyOffset());
        answer.put("maxPhyOffset", store.getMaxPhyOffset());
        return answer;
    }

    /** Waits until the queues and the index know every record. */
    static void settle() throws InterruptedException {
        while (store.dispatchBehindBytes() > 0) {
            Thread.sleep(5);
        }
    }

    /** Writes one line of JSON a message, by queue, then one a key, into `file`; answers the queues' offsets. */
    private static Object dump(Peer.Args args) throws Exception {
        settle();
        Map<String, Object> queues = new TreeMap<>();
        TreeSet<String> keys = new TreeSet<>();
        try (BufferedWriter out = Files.newBufferedWriter(Paths.get(args.text("file")), StandardCharsets.UTF_8)) {
            for (String topic : new TreeSet<>(store.getConsumeQueueTable().keySet())) {
                for (int queueId : new TreeSet<>(store.getConsumeQueueTable().get(topic).keySet())) {
                    long min = store.getMinOffsetInQueue(topic, queueId);
                    long max = store.getMaxOffsetInQueue(topic, queueId);
                    if (max == min) {
                        continue;
                    }
                    queues.put(topic + "/" + queueId, List.of(min, max));
                    dumpQueue(out, keys, topic, queueId, min, max);
                }
            }
            for (String key : args.text("keys", "true").equals("true") ? keys : new TreeSet<String>()) {
                Map<String, Object> line = new TreeMap<>();
                line.put("key", key);
                line.put("offsets", lookUp(key));
                out.write(Json.write(line));
                out.write('\n');
            }
        }
        Map<String, Object> answer = offsets();
        answer.put("queues", queues);
        return answer;
    }

    private static void dumpQueue(BufferedWriter out, TreeSet<String> keys, String topic, int queueId, long min, long max)
        throws Exception {
        long offset = min;
        while (offset < max) {
            GetMessageResult result = store.getMessage("dump", topic, queueId, offset, 32, null);
            try {
                for (ByteBuffer record : result.getMessageBufferList()) {
                    long recordOffset = record.getLong(record.position() + 28);
                    MessageExt message = MessageDecoder.decode(record, true, false);
                    if (message == null) {
                        Map<String, Object> line = new LinkedHashMap<>();
                        line.put("commitLogOffset", recordOffset);
                        line.put("undecodable", true);
                        out.write(Json.write(line));
                        out.write('\n');
                        continue;
                    }
                    out.write(Json.write(describe(message)));
                    out.write('\n');
                    for (String property : new String[] {"UNIQ_KEY", "KEYS"}) {
                        String value = message.getProperty(property);
                        for (String key : value == null ? new String[0] : value.split(" ")) {
                            keys.add(topic + "#" + key);
                        }
                    }
                    if (message.getTags() != null) {
                        keys.add(topic + TAG_MARK + message.getTags());
                    }
                }
            } finally {
                result.release();
            }
            if (result.getMessageCount() == 0) {
                throw new IllegalStateException(topic + "/" + queueId + " at " + offset + " of " + max + ": " + result.getStatus());
            }
            offset = result.getNextBeginOffset();
        }
    }

    /** The log offsets that the index gives for one `topic#key` or `topic#T#tag`, ascending, each as often as it gives it. */
    private static List<Long> lookUp(String name) {
        String topic = name.substring(0, name.indexOf('#'));
        boolean tag = name.startsWith(TAG_MARK, topic.length());
        String key = name.substring(topic.length() + (tag ? TAG_MARK.length() : 1));
        QueryMessageResult result = store.queryMessage(topic, key, 64, 0, Long.MAX_VALUE, tag ? "T" : "K", null);
        List<Long> offsets = new ArrayList<>();
        try {
            for (ByteBuffer record : result.getMessageBufferList()) {
                offsets.add(MessageDecoder.decode(record, false, false).getCommitLogOffset());
            }
        } finally {
            result.release();
        }
        Collections.sort(offsets);
        return offsets;
    }

    private static String host(InetSocketAddress address) {
        InetAddress ip = address.getAddress();
        StringBuilder hex = new StringBuilder();
        for (byte b : ip.getAddress()) {
            hex.append(String.format("%02x", b));
        }
        return hex + ":" + address.getPort();
    }

    static Map<String, Object> describe(MessageExt message) throws Exception {
        Map<String, Object> line = new TreeMap<>();
        line.put("topic", message.getTopic());
        line.put("queueId", message.getQueueId());
        line.put("queueOffset", message.getQueueOffset());
        line.put("commitLogOffset", message.getCommitLogOffset());
        line.put("storeSize", message.getStoreSize());
        line.put("flag", message.getFlag());
        line.put("sysFlag", message.getSysFlag());
        line.put("bornTimestamp", message.getBornTimestamp());
        line.put("bornHost", host((InetSocketAddress) message.getBornHost()));
        line.put("storeTimestamp", message.getStoreTimestamp());
        line.put("storeHost", host((InetSocketAddress) message.getStoreHost()));
        line.put("reconsumeTimes", message.getReconsumeTimes());
        line.put("preparedTransactionOffset", message.getPreparedTransactionOffset());
        line.put("bodyCRC", message.getBodyCRC());
        byte[] body = message.getBody() == null ? new byte[0] : message.getBody();
        StringBuilder digest = new StringBuilder();
        for (byte b : MessageDigest.getInstance("SHA-256").digest(body)) {
            digest.append(String.format("%02x", b));
        }
        line.put("bodyLength", body.length);
        line.put("bodyDigest", digest.toString());
        line.put("properties", new TreeMap<>(message.getProperties()));
        return line;
    }
}
