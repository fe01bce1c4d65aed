import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** query.view, query.key, query.offsets: what a client asks about stored messages without consuming. */
final class Queries {
    void register(Map<String, Peer.Command> commands) {
        commands.put("query.view", this::view);
        commands.put("query.key", this::key);
        commands.put("query.offsets", this::offsets);
    }

    private interface Question {
        Object ask(DefaultMQPullConsumer client) throws Exception;
    }

    @SuppressWarnings("deprecation")
    private static Object with(Peer.Args args, Question question) throws Exception {
        DefaultMQPullConsumer client = new DefaultMQPullConsumer(args.text("group", "interop_query"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName("query-" + System.nanoTime());
        client.start();
        try {
            return question.ask(client);
        } finally {
            client.shutdown();
        }
    }

    private static Map<String, Object> describe(MessageExt message) {
        Map<String, Object> answer = new TreeMap<>();
        answer.put("topic", message.getTopic());
        answer.put("index", message.getUserProperty("index"));
        answer.put("fault", Samples.fault(message));
        answer.put("queueId", message.getQueueId());
        answer.put("queueOffset", message.getQueueOffset());
        answer.put("commitLogOffset", message.getCommitLogOffset());
        answer.put("msgId", message.getMsgId());
        answer.put("bornHost", message.getBornHostString());
        answer.put("flag", message.getFlag());
        answer.put("bodyLength", message.getBody().length);
        answer.put("bodyStart", new String(message.getBody(), 0, Math.min(12, message.getBody().length), StandardCharsets.UTF_8));
        return answer;
    }

    /** By the offset msgId the broker gave, or by the unique key the client gave. */
    private Object view(Peer.Args args) throws Exception {
        return with(args, client -> describe(client.viewMessage(args.text("topic"), args.text("msgId"))));
    }

    private Object key(Peer.Args args) throws Exception {
        return with(args, client -> {
            long now = System.currentTimeMillis();
            QueryResult result = client.queryMessage(args.text("topic"), args.text("key"), args.number("max", 64),
                now - 3_600_000, now + 60_000);
            List<Object> found = new ArrayList<>();
            for (MessageExt message : result.getMessageList()) {
                found.add(describe(message));
            }
            return found;
        });
    }

    /** Minimum, maximum, the offset of a time and the group's committed offset of each queue. */
    private Object offsets(Peer.Args args) throws Exception {
        return with(args, client -> {
            List<Object> answer = new ArrayList<>();
            for (MessageQueue queue : client.fetchSubscribeMessageQueues(args.text("topic"))) {
                Map<String, Object> one = new TreeMap<>();
                one.put("queueId", queue.getQueueId());
                one.put("min", client.minOffset(queue));
                one.put("max", client.maxOffset(queue));
                one.put("committed", client.fetchConsumeOffset(queue, true));
                one.put("earliest", client.earliestMsgStoreTime(queue));
                one.put("atZero", client.searchOffset(queue, 0));
                one.put("atFuture", client.searchOffset(queue, System.currentTimeMillis() + 60_000));
                answer.add(one);
            }
            return answer;
        });
    }
}
