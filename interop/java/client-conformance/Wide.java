import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** wide.*: the client with its settings as arguments, for the conformance cases; of clients from 5.0.0 on */
public final class Wide implements ClientPeer.Part {
    private static final class Consumer {
        final DefaultMQPushConsumer client;
        final List<Map<String, Object>> deliveries = new ArrayList<>();

        Consumer(DefaultMQPushConsumer client) {
            this.client = client;
        }
    }

    private final Map<String, Consumer> consumers = new ConcurrentHashMap<>();

    @Override
    public void register(Map<String, Peer.Command> commands) {
        commands.put("wide.send", this::send);
        commands.put("wide.request", this::request);
        commands.put("wide.consume", this::consume);
        commands.put("wide.deliveries", args -> {
            List<Map<String, Object>> deliveries = consumers.get(args.text("name")).deliveries;
            synchronized (deliveries) {
                return new ArrayList<>(deliveries);
            }
        });
        commands.put("wide.stop", args -> {
            consumers.remove(args.text("name")).client.shutdown();
            return "stopped";
        });
        commands.put("wide.lite", this::lite);
    }

    private static DefaultMQProducer producer(Peer.Args args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(args.text("group", "wide_producers"), args.flag("trace"), null);
        producer.setNamesrvAddr(args.text("namesrv"));
        producer.setInstanceName("wide-" + System.nanoTime());
        producer.setSendMsgTimeout(10_000);
        producer.setCompressMsgBodyOverHowmuch(1_024);
        if (!args.text("compress", "").isEmpty()) {
            producer.setCompressType(CompressionType.valueOf(args.text("compress")));
        }
        producer.start();
        return producer;
    }

    private static Message message(Peer.Args args, int index) {
        StringBuilder body = new StringBuilder("body-" + index);
        while (body.length() < args.number("size", 0)) {
            body.append(" again");
        }
        String[] tags = args.text("tags", "TagA").split(",");
        Message message = new Message(args.text("topic"), tags[index % tags.length], "key-" + index,
            body.toString().getBytes(StandardCharsets.UTF_8));
        message.putUserProperty("index", String.valueOf(index));
        return message;
    }

    /** `count` messages one by one, or as one batch; the statuses. `queueId`: all into that queue. */
    private Object send(Peer.Args args) throws Exception {
        DefaultMQProducer producer = producer(args);
        try {
            List<Object> sent = new ArrayList<>();
            List<Message> messages = new ArrayList<>();
            for (int index = args.number("from", 0); index < args.number("from", 0) + args.number("count"); index++) {
                messages.add(message(args, index));
            }
            MessageQueue queue = new MessageQueue(args.text("topic"), "broker-a", args.number("queueId", 0));
            if (args.flag("batch")) {
                SendResult result = producer.send(messages, queue);
                sent.add(result.getSendStatus() + " " + result.getMsgId().split(",").length + " ids, "
                    + result.getOffsetMsgId().split(",").length + " offsets");
                return sent;
            }
            for (Message message : messages) {
                SendResult result = args.text("queueId", "").isEmpty() ? producer.send(message) : producer.send(message, queue);
                sent.add(String.valueOf(result.getSendStatus()));
            }
            return sent;
        } finally {
            producer.shutdown();
        }
    }

    private Object request(Peer.Args args) throws Exception {
        DefaultMQProducer producer = producer(args);
        try {
            Message asked = message(args, 0);
            Message reply = producer.request(asked, args.number("timeout", 20_000));
            return new String(reply.getBody(), StandardCharsets.UTF_8) + " in " + reply.getTopic();
        } catch (Exception error) {
            return error.getClass().getSimpleName();
        } finally {
            producer.shutdown();
        }
    }

    private Object consume(Peer.Args args) throws Exception {
        DefaultMQPushConsumer client = new DefaultMQPushConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.setConsumeFromWhere(ConsumeFromWhere.valueOf(args.text("from", "CONSUME_FROM_FIRST_OFFSET")));
        if (!args.text("timestamp", "").isEmpty()) {
            client.setConsumeTimestamp(args.text("timestamp"));
        }
        client.setMessageModel(args.flag("broadcast") ? MessageModel.BROADCASTING : MessageModel.CLUSTERING);
        client.setPollNameServerInterval(1_000);
        client.setPersistConsumerOffsetInterval(1_000);
        client.setHeartbeatBrokerInterval(3_000);
        client.setConsumeThreadMin(2);
        client.setConsumeThreadMax(2);
        client.setPullThresholdForQueue(1_000);
        client.setSuspendCurrentQueueTimeMillis(200);
        if (args.flag("pop")) {
            client.setClientRebalance(false);
            client.setPopInvisibleTime(args.number("invisible", 10_000));
        }
        if (args.number("maxReconsume", -2) != -2) {
            client.setMaxReconsumeTimes(args.number("maxReconsume", -2));
        }
        String expression = args.text("expression", "*");
        client.subscribe(args.text("topic"),
            args.flag("sql") ? MessageSelector.bySql(expression) : MessageSelector.byTag(expression));
        Consumer consumer = new Consumer(client);
        int failTimes = args.number("failTimes", 0);
        DefaultMQProducer answers = args.flag("answers") ? producer(args) : null;
        if (args.flag("orderly")) {
            client.registerMessageListener((MessageListenerOrderly) (messages, context) -> note(consumer, messages, failTimes)
                ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS);
        } else {
            client.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                boolean fails = note(consumer, messages, failTimes);
                if (answers != null) {
                    answer(answers, messages);
                }
                return fails ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        client.start();
        consumers.put(args.text("name"), consumer);
        return "started";
    }

    private static void answer(DefaultMQProducer producer, List<MessageExt> messages) {
        for (MessageExt message : messages) {
            try {
                String text = "answer to " + new String(message.getBody(), StandardCharsets.UTF_8);
                Message reply = MessageUtil.createReplyMessage(message, text.getBytes(StandardCharsets.UTF_8));
                producer.send(reply, 10_000);
            } catch (Exception error) {
                error.printStackTrace();
            }
        }
    }

    /** Whether one of them is to fail. */
    private static boolean note(Consumer consumer, List<MessageExt> messages, int failTimes) {
        boolean fails = false;
        for (MessageExt message : messages) {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("index", message.getUserProperty("index"));
            one.put("topic", message.getTopic());
            one.put("body", message.getBody().length);
            one.put("text", new String(message.getBody(), StandardCharsets.UTF_8));
            one.put("tags", message.getTags());
            one.put("reconsumeTimes", message.getReconsumeTimes());
            one.put("queueId", message.getQueueId());
            one.put("queueOffset", message.getQueueOffset());
            one.put("storeTimestamp", message.getStoreTimestamp());
            one.put("properties", new TreeMap<String, Object>(message.getProperties()));
            synchronized (consumer.deliveries) {
                consumer.deliveries.add(one);
            }
            fails = fails || message.getReconsumeTimes() < failTimes;
        }
        return fails;
    }

    /** A lite pull consumer that assigns itself the queues, or subscribes; the indexes it polled. */
    private Object lite(Peer.Args args) throws Exception {
        DefaultLitePullConsumer client = new DefaultLitePullConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName("lite-" + System.nanoTime());
        client.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        client.setAutoCommit(false);
        if (!args.flag("assign")) {
            client.subscribe(args.text("topic"), args.text("expression", "*"));
        }
        client.start();
        try {
            if (args.flag("assign")) {
                Collection<MessageQueue> queues = client.fetchMessageQueues(args.text("topic"));
                client.assign(queues);
                for (MessageQueue queue : queues) {
                    client.seek(queue, args.number("seek", 0));
                }
            }
            List<Integer> indexes = new ArrayList<>();
            long deadline = System.currentTimeMillis() + 30_000;
            while (indexes.size() < args.number("count") && System.currentTimeMillis() < deadline) {
                for (MessageExt message : client.poll(1_000)) {
                    indexes.add(Integer.parseInt(message.getUserProperty("index")));
                }
            }
            client.commitSync();
            Map<String, Object> answer = new TreeMap<>();
            Integer[] sorted = indexes.toArray(new Integer[0]);
            Arrays.sort(sorted);
            answer.put("indexes", Arrays.asList(sorted));
            return answer;
        } finally {
            client.shutdown();
        }
    }
}
