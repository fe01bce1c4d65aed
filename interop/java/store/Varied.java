import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.compression.CompressorFactory;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageBatch;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.PutMessageResult;

/**
 * Messages as a whole broker would store them, for whoever looks at a store from outside: bodies packed by each of the
 * three compressors, batches, both kinds of hosts, long topics, delayed messages in the schedule topic, half messages,
 * committed and prepared ones.
 */
final class Varied {
    private static final String WORDS = "The quick brown fox jumps over the lazy dog. 快速的棕色狐狸跳过懒狗。 ";

    private Varied() {
    }

    static Object append(DefaultMessageStore store, Peer.Args args) throws Exception {
        int run = args.number("seed");
        Random random = new Random(run);
        Map<String, Integer> status = new TreeMap<>();
        int messages = 0;
        for (int index = 0; messages < args.number("count"); index++) {
            PutMessageResult result;
            if (index % 25 == 24) {
                result = store.putMessages(batch(random, run, index));
                messages += 5;
            } else {
                result = store.putMessage(single(random, run, index));
                messages++;
            }
            status.merge(result.getPutMessageStatus().name(), 1, Integer::sum);
        }
        StorePeer.settle();
        return Map.of("status", status, "messages", messages);
    }

    private static MessageExtBrokerInner single(Random random, int run, int index) throws Exception {
        MessageExtBrokerInner message = new MessageExtBrokerInner();
        message.setTopic(index % 11 == 10 ? "%RETRY%varied-" + "t".repeat(150) : "varied-" + index % 5);
        message.setQueueId(index % 3);
        fill(message, random, run, index);
        pack(message, random, index);
        switch (index % 17) {
            case 3:
                delay(message, 1 + index % 18);
                break;
            case 7:
                half(message);
                break;
            case 11:
                message.setSysFlag(message.getSysFlag() | MessageSysFlag.TRANSACTION_COMMIT_TYPE);
                message.setPreparedTransactionOffset(4096L + index);
                break;
            case 13:
                message.setSysFlag(message.getSysFlag() | MessageSysFlag.TRANSACTION_PREPARED_TYPE);
                break;
            default:
                break;
        }
        message.setBornTimestamp(1_700_000_000_000L + index);
        message.setBornHost(host(index));
        message.setStoreHost(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 10911));
        if (index % 7 == 6) {
            message.setBornHostV6Flag();
        }
        message.setReconsumeTimes(index % 5);
        message.setPropertiesString(MessageDecoder.messageProperties2String(message.getProperties()));
        return message;
    }

    private static void fill(Message message, Random random, int run, int index) {
        MessageClientIDSetter.setUniqID(message);
        if (index % 4 != 0) {
            message.setTags(index % 3 == 0 ? "标签" : "Tag" + index % 5);
        }
        if (index % 2 == 0) {
            message.setKeys("key-" + run + "-" + index + " shared-" + run + "-" + index % 97);
        }
        MessageAccessor.putProperty(message, "city", "上海😀-" + random.nextInt(1000));
        message.setFlag(random.nextInt());
    }

    /** A third of the bodies is packed, with each compressor in turn, as a producer does it. */
    private static void pack(MessageExtBrokerInner message, Random random, int index) throws Exception {
        int size = index % 200 == 199 ? 20_000 + random.nextInt(20_000) : 1 + random.nextInt(700);
        byte[] body = new byte[size];
        if (index % 3 != 0) {
            random.nextBytes(body);
            message.setBody(body);
            return;
        }
        byte[] words = WORDS.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < size; i++) {
            body[i] = words[i % words.length];
        }
        CompressionType type = new CompressionType[] {CompressionType.ZLIB, CompressionType.LZ4, CompressionType.ZSTD}[index / 3 % 3];
        message.setBody(CompressorFactory.getCompressor(type).compress(body, 5));
        message.setSysFlag(message.getSysFlag() | MessageSysFlag.COMPRESSED_FLAG | type.getCompressionFlag());
    }

    /** What the broker makes of a message with a delay level before it stores it. */
    private static void delay(MessageExtBrokerInner message, int level) {
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_REAL_TOPIC, message.getTopic());
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_REAL_QUEUE_ID, String.valueOf(message.getQueueId()));
        message.setDelayTimeLevel(level);
        message.setTopic("SCHEDULE_TOPIC_XXXX");
        message.setQueueId(level - 1);
    }

    /** What the broker makes of the first part of a transaction. */
    private static void half(MessageExtBrokerInner message) {
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_TRANSACTION_PREPARED, "true");
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_REAL_TOPIC, message.getTopic());
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_REAL_QUEUE_ID, String.valueOf(message.getQueueId()));
        message.setTopic("RMQ_SYS_TRANS_HALF_TOPIC");
        message.setQueueId(0);
    }

    private static SocketAddress host(int index) throws Exception {
        byte[] address = index % 7 == 6
            ? new byte[] {0x20, 0x01, 0x0d, (byte) 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte) index}
            : new byte[] {10, 1, 2, (byte) index};
        return new InetSocketAddress(InetAddress.getByAddress(address), 40_000 + index % 1000);
    }

    private static MessageExtBatch batch(Random random, int run, int index) throws Exception {
        List<Message> parts = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            Message part = new Message("varied-batch", ("part " + i + " of 批 " + index).getBytes(StandardCharsets.UTF_8));
            fill(part, random, run, 1_000_000 + index * 10 + i);
            parts.add(part);
        }
        MessageExtBatch batch = new MessageExtBatch();
        batch.setTopic("varied-batch");
        batch.setQueueId(0);
        batch.setBornTimestamp(1_700_000_000_000L + index);
        batch.setBornHost(host(0));
        batch.setStoreHost(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 10911));
        batch.setBody(MessageBatch.generateFromList(parts).encode());
        return batch;
    }
}
