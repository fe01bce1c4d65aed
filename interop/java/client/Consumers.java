import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** consumer.start, consumer.await, consumer.queues, consumer.stop, pull.drain */
final class Consumers {
    private static final class Consumer {
        final DefaultMQPushConsumer client;
        final Received received;

        Consumer(DefaultMQPushConsumer client, Received received) {
            this.client = client;
            this.received = received;
        }
    }

    private final Map<String, Consumer> consumers = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("consumer.start", this::start);
        commands.put("consumer.await", args -> {
            Received received = consumers.get(args.text("name")).received;
            received.await(args.number("distinct"), args.number("timeout", 60_000));
            return received.report(args.flag("indexes"));
        });
        commands.put("consumer.queues", args -> consumers.get(args.text("name")).client.getDefaultMQPushConsumerImpl()
            .getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(args.text("topic"))).count());
        commands.put("consumer.stop", args -> {
            Consumer consumer = consumers.remove(args.text("name"));
            consumer.client.shutdown();
            return consumer.received.report(args.flag("indexes"));
        });
        commands.put("pull.drain", this::pull);
    }

    private Object start(Peer.Args args) throws Exception {
        Received received = new Received(args.text("run"));
        int failOnce = args.number("failOnce", -1);
        DefaultMQPushConsumer client = new DefaultMQPushConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // The default of 5,000 writes offsets at shutdown all the same; a second makes a killed broker's gap small.
        client.setPersistConsumerOffsetInterval(1_000);
        // A group's retry topic appears with the first failure; the default looks for new routes every 30 s.
        client.setPollNameServerInterval(1_000);
        client.setConsumeThreadMin(4);
        client.setConsumeThreadMax(4);
        client.setConsumeMessageBatchMaxSize(args.number("batch", 1));
        client.setSuspendCurrentQueueTimeMillis(100);
        client.subscribe(args.text("topic"), args.text("tags", "*"));
        if (args.flag("orderly")) {
            client.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                for (MessageExt message : messages) {
                    if (received.add(message) == 0 && index(message) == failOnce) {
                        return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                    }
                }
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            client.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                for (MessageExt message : messages) {
                    if (received.add(message) == 0 && index(message) == failOnce) {
                        // Level 1 is one second; the first level otherwise used is 3, ten seconds.
                        context.setDelayLevelWhenNextConsume(1);
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        client.start();
        consumers.put(args.text("name"), new Consumer(client, received));
        return "started";
    }

    private static int index(MessageExt message) {
        String index = message.getUserProperty("index");
        return index == null ? -2 : Integer.parseInt(index);
    }

    /** Reads every queue from its minimum to its maximum offset with the old pull consumer. */
    @SuppressWarnings("deprecation")
    private Object pull(Peer.Args args) throws Exception {
        Received received = new Received(args.text("run"));
        DefaultMQPullConsumer client = new DefaultMQPullConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.start();
        try {
            Map<String, Integer> statuses = new TreeMap<>();
            for (MessageQueue queue : client.fetchSubscribeMessageQueues(args.text("topic"))) {
                long offset = client.minOffset(queue);
                long end = client.maxOffset(queue);
                while (offset < end) {
                    PullResult result = client.pull(queue, args.text("tags", "*"), offset, 32);
                    statuses.merge(result.getPullStatus().name(), 1, Integer::sum);
                    if (result.getPullStatus() == PullStatus.FOUND) {
                        List<MessageExt> found = result.getMsgFoundList();
                        found.forEach(received::add);
                    }
                    if (result.getNextBeginOffset() <= offset) {
                        throw new IllegalStateException(queue + " stands still at " + offset + ": " + result);
                    }
                    offset = result.getNextBeginOffset();
                }
                client.updateConsumeOffset(queue, offset);
            }
            Map<String, Object> report = received.report(false);
            report.put("statuses", statuses);
            return report;
        } finally {
            client.shutdown();
        }
    }
}
