import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** delay.send, delay.consume, delay.deliveries, delay.stop: messages that wait, and each delivery with what it carries. */
final class Delays {
    private static final class Consumer {
        final DefaultMQPushConsumer client;
        final List<Map<String, Object>> deliveries = new ArrayList<>();

        Consumer(DefaultMQPushConsumer client) {
            this.client = client;
        }
    }

    private final Map<String, Consumer> consumers = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("delay.send", this::send);
        commands.put("delay.consume", this::consume);
        commands.put("delay.deliveries", args -> {
            List<Map<String, Object>> deliveries = consumers.get(args.text("name")).deliveries;
            synchronized (deliveries) {
                return new ArrayList<>(deliveries);
            }
        });
        commands.put("delay.stop", args -> {
            consumers.remove(args.text("name")).client.shutdown();
            return "stopped";
        });
    }

    /** Messages of one run, one after the other, each with the same level. */
    private Object send(Peer.Args args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(args.text("group"));
        producer.setNamesrvAddr(args.text("namesrv"));
        producer.setInstanceName("delay-" + System.nanoTime());
        producer.setSendMsgTimeout(10_000);
        producer.start();
        try {
            List<Object> sent = new ArrayList<>();
            int from = args.number("from", 0);
            for (int index = from; index < from + args.number("count"); index++) {
                Message message = Samples.message(args.text("topic"), args.text("run"), index);
                message.setDelayTimeLevel(args.number("level"));
                SendResult result = producer.send(message);
                Map<String, Object> one = new TreeMap<>();
                one.put("status", String.valueOf(result.getSendStatus()));
                one.put("queueId", result.getMessageQueue().getQueueId());
                one.put("topic", result.getMessageQueue().getTopic());
                one.put("msgId", result.getMsgId());
                sent.add(one);
            }
            return sent;
        } finally {
            producer.shutdown();
        }
    }

    /** `failTimes`: so many deliveries of each message fail. `maxReconsume`: as setMaxReconsumeTimes. */
    private Object consume(Peer.Args args) throws Exception {
        DefaultMQPushConsumer client = new DefaultMQPushConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        client.setPollNameServerInterval(1_000);
        client.setPersistConsumerOffsetInterval(1_000);
        client.setConsumeThreadMin(4);
        client.setConsumeThreadMax(4);
        client.setSuspendCurrentQueueTimeMillis(100);
        if (args.number("maxReconsume", -2) != -2) {
            client.setMaxReconsumeTimes(args.number("maxReconsume", -2));
        }
        client.subscribe(args.text("topic"), "*");
        Consumer consumer = new Consumer(client);
        int failTimes = args.number("failTimes", 0);
        if (args.flag("orderly")) {
            client.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                boolean fails = false;
                for (MessageExt message : messages) {
                    note(consumer, message);
                    fails = fails || message.getReconsumeTimes() < failTimes;
                }
                return fails ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            client.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                boolean fails = false;
                for (MessageExt message : messages) {
                    note(consumer, message);
                    fails = fails || message.getReconsumeTimes() < failTimes;
                }
                return fails ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        client.start();
        consumers.put(args.text("name"), consumer);
        return "started";
    }

    private static void note(Consumer consumer, MessageExt message) {
        Map<String, Object> one = new LinkedHashMap<>();
        one.put("index", message.getUserProperty("index"));
        one.put("run", message.getUserProperty("run"));
        one.put("fault", Samples.fault(message));
        one.put("topic", message.getTopic());
        one.put("reconsumeTimes", message.getReconsumeTimes());
        one.put("storeTimestamp", message.getStoreTimestamp());
        one.put("bornTimestamp", message.getBornTimestamp());
        one.put("queueId", message.getQueueId());
        one.put("queueOffset", message.getQueueOffset());
        one.put("properties", new TreeMap<String, Object>(message.getProperties()));
        synchronized (consumer.deliveries) {
            consumer.deliveries.add(one);
        }
    }
}
