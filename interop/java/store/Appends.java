import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageBatch;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.PutMessageResult;

/** Appends messages of every shape the formats know: sizes, hosts of both kinds, long topics, flags, batches. */
final class Appends {
    private Appends() {
    }

    static Object append(DefaultMessageStore store, Peer.Args args) throws Exception {
        int run = args.number("seed");
        Random random = new Random(run);
        Map<String, Integer> status = new TreeMap<>();
        for (int index = 0; index < args.number("count"); index++) {
            PutMessageResult result = index % 25 == 24 ? store.putMessages(batch(random, run, index))
                : store.putMessage(single(random, run, index));
            status.merge(result.getPutMessageStatus().name(), 1, Integer::sum);
        }
        StorePeer.settle();
        return Map.of("status", status, "prepared", List.of());
    }

    /** Among them a topic beyond 127 characters, as only retry topics may be; a record of version 2 holds it. */
    private static String topic(int index) {
        return index % 11 == 10 ? "%RETRY%java-" + "t".repeat(150) : "java-topic-" + index % 3;
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

    private static byte[] body(Random random, int index) {
        byte[] body = new byte[index % 50 == 49 ? 60_000 + random.nextInt(40_000) : 1 + random.nextInt(3_000)];
        random.nextBytes(body);
        return body;
    }

    private static SocketAddress host(int index) throws Exception {
        byte[] address = index % 7 == 6
            ? new byte[] {0x20, 0x01, 0x0d, (byte) 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte) index}
            : new byte[] {10, 1, 2, (byte) index};
        return new InetSocketAddress(InetAddress.getByAddress(address), 40_000 + index % 1000);
    }

    private static MessageExtBrokerInner single(Random random, int run, int index) throws Exception {
        MessageExtBrokerInner message = new MessageExtBrokerInner();
        message.setTopic(topic(index));
        message.setQueueId(index % 2);
        message.setBody(body(random, index));
        fill(message, random, run, index);
        message.setBornTimestamp(1_700_000_000_000L + index);
        message.setBornHost(host(index));
        if (index % 7 == 6) {
            message.setBornHostV6Flag();
        }
        message.setStoreHost(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 10911));
        message.setReconsumeTimes(index % 5);
        int transaction = index % 13 == 12 ? MessageSysFlag.TRANSACTION_COMMIT_TYPE : 0;
        int compressed = index % 9 == 8 ? MessageSysFlag.COMPRESSED_FLAG | 0x300 : 0;
        message.setSysFlag(message.getSysFlag() | transaction | compressed);
        if (transaction != 0) {
            message.setPreparedTransactionOffset(4096L + index);
        }
        message.setPropertiesString(MessageDecoder.messageProperties2String(message.getProperties()));
        return message;
    }

    private static MessageExtBatch batch(Random random, int run, int index) throws Exception {
        List<Message> parts = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            Message part = new Message("java-topic-batch", ("part " + i + " of 批 " + index).getBytes(StandardCharsets.UTF_8));
            fill(part, random, run, 1_000_000 + index * 10 + i);
            parts.add(part);
        }
        MessageExtBatch batch = new MessageExtBatch();
        batch.setTopic("java-topic-batch");
        batch.setQueueId(0);
        batch.setBornTimestamp(1_700_000_000_000L + index);
        batch.setBornHost(host(0));
        batch.setStoreHost(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 10911));
        batch.setBody(MessageBatch.generateFromList(parts).encode());
        return batch;
    }
}
