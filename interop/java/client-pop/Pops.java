import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.AckCallback;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PopCallback;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** pop.*, of clients from 5.0.0 on: push consumers whose broker shares the queues, and pop, ack, change by themselves. */
public final class Pops implements ClientPeer.Part {
    private static final long TIMEOUT = 20_000;

    private static final class Consumer {
        final DefaultMQPushConsumer client;
        final List<Map<String, Object>> deliveries = new ArrayList<>();

        Consumer(DefaultMQPushConsumer client) {
            this.client = client;
        }
    }

    private final Map<String, Consumer> consumers = new ConcurrentHashMap<>();
    /** By nameserver. */
    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();

    @Override
    public void register(Map<String, Peer.Command> commands) {
        commands.put("pop.send", this::send);
        commands.put("pop.consume", this::consume);
        commands.put("pop.deliveries", args -> {
            List<Map<String, Object>> deliveries = consumers.get(args.text("name")).deliveries;
            synchronized (deliveries) {
                return new ArrayList<>(deliveries);
            }
        });
        commands.put("pop.stop", args -> {
            consumers.remove(args.text("name")).client.shutdown();
            return "stopped";
        });
        commands.put("pop.pop", this::pop);
        commands.put("pop.ack", this::ack);
        commands.put("pop.change", this::change);
        commands.put("pop.forget", args -> {
            DefaultMQProducer producer = producers.remove(args.text("namesrv"));
            if (producer != null) {
                producer.shutdown();
            }
            return "forgotten";
        });
    }

    private DefaultMQProducer producer(Peer.Args args) throws Exception {
        String namesrv = args.text("namesrv");
        DefaultMQProducer known = producers.get(namesrv);
        if (known != null) {
            return known;
        }
        DefaultMQProducer producer = new DefaultMQProducer("pop-" + System.nanoTime());
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("pop-" + System.nanoTime());
        producer.setSendMsgTimeout(10_000);
        producer.start();
        producers.put(namesrv, producer);
        return producer;
    }

    private MQClientAPIImpl api(Peer.Args args) throws Exception {
        return producer(args).getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl();
    }

    /** Messages of one run into one queue, in order. */
    private Object send(Peer.Args args) throws Exception {
        DefaultMQProducer producer = producer(args);
        List<Object> sent = new ArrayList<>();
        int from = args.number("from", 0);
        MessageQueue queue = new MessageQueue(args.text("topic"), "broker-a", args.number("queueId", 0));
        for (int index = from; index < from + args.number("count"); index++) {
            SendResult result = producer.send(Samples.message(args.text("topic"), args.text("run"), index), queue);
            sent.add(String.valueOf(result.getSendStatus()));
        }
        return sent;
    }

    /** A push consumer that asks the broker for its queues. `failTimes`: so many deliveries of each message fail. */
    private Object consume(Peer.Args args) throws Exception {
        DefaultMQPushConsumer client = new DefaultMQPushConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        client.setPollNameServerInterval(1_000);
        client.setClientRebalance(false);
        client.setPopInvisibleTime(args.number("invisible", 10_000));
        client.setPopBatchNums(8);
        client.subscribe(args.text("topic"), "*");
        Consumer consumer = new Consumer(client);
        int failTimes = args.number("failTimes", 0);
        client.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            boolean fails = false;
            for (MessageExt message : messages) {
                synchronized (consumer.deliveries) {
                    consumer.deliveries.add(described(message));
                }
                fails = fails || message.getReconsumeTimes() < failTimes;
            }
            return fails ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        client.start();
        consumers.put(args.text("name"), consumer);
        return "started";
    }

    private static Map<String, Object> described(MessageExt message) {
        Map<String, Object> one = new LinkedHashMap<>();
        one.put("index", message.getUserProperty("index"));
        one.put("fault", Samples.fault(message));
        one.put("topic", message.getTopic());
        one.put("queueId", message.getQueueId());
        one.put("queueOffset", message.getQueueOffset());
        one.put("reconsumeTimes", message.getReconsumeTimes());
        one.put("storeTimestamp", message.getStoreTimestamp());
        one.put("properties", new TreeMap<String, Object>(message.getProperties()));
        return one;
    }

    private Object pop(Peer.Args args) throws Exception {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setConsumerGroup(args.text("group"));
        header.setTopic(args.text("topic"));
        header.setQueueId(args.number("queueId", -1));
        header.setMaxMsgNums(args.number("count", 32));
        header.setInvisibleTime(args.number("invisible", 10_000));
        header.setPollTime(args.number("poll", 0));
        header.setBornTime(System.currentTimeMillis());
        header.setInitMode(0);
        header.setExpType("TAG");
        header.setExp("*");
        header.setOrder(args.flag("order"));
        CompletableFuture<PopResult> popped = new CompletableFuture<>();
        api(args).popMessageAsync("broker-a", args.text("broker"), header, TIMEOUT + args.number("poll", 0), new PopCallback() {
            @Override
            public void onSuccess(PopResult result) {
                popped.complete(result);
            }

            @Override
            public void onException(Throwable error) {
                popped.completeExceptionally(error);
            }
        });
        PopResult result = popped.get(2 * TIMEOUT, TimeUnit.MILLISECONDS);
        Map<String, Object> answer = new TreeMap<>();
        answer.put("status", String.valueOf(result.getPopStatus()));
        answer.put("restNum", result.getRestNum());
        List<Object> messages = new ArrayList<>();
        if (result.getMsgFoundList() != null) {
            for (MessageExt message : result.getMsgFoundList()) {
                messages.add(described(message));
            }
        }
        answer.put("messages", messages);
        return answer;
    }

    private static final class Acked extends CompletableFuture<AckResult> implements AckCallback {
        @Override
        public void onSuccess(AckResult result) {
            complete(result);
        }

        @Override
        public void onException(Throwable error) {
            completeExceptionally(error);
        }
    }

    private Object ack(Peer.Args args) throws Exception {
        String[] handle = ExtraInfoUtil.split(args.text("handle"));
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(handle, args.text("topic"), args.text("group")));
        header.setQueueId(ExtraInfoUtil.getQueueId(handle));
        header.setOffset(ExtraInfoUtil.getQueueOffset(handle));
        header.setConsumerGroup(args.text("group"));
        header.setExtraInfo(args.text("handle"));
        Acked acked = new Acked();
        api(args).ackMessageAsync(args.text("broker"), TIMEOUT, acked, header);
        return String.valueOf(acked.get(2 * TIMEOUT, TimeUnit.MILLISECONDS).getStatus());
    }

    /** The new handle. */
    private Object change(Peer.Args args) throws Exception {
        String[] handle = ExtraInfoUtil.split(args.text("handle"));
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(handle, args.text("topic"), args.text("group")));
        header.setQueueId(ExtraInfoUtil.getQueueId(handle));
        header.setOffset(ExtraInfoUtil.getQueueOffset(handle));
        header.setConsumerGroup(args.text("group"));
        header.setExtraInfo(args.text("handle"));
        header.setInvisibleTime((long) args.number("invisible"));
        Acked changed = new Acked();
        api(args).changeInvisibleTimeAsync("broker-a", args.text("broker"), header, TIMEOUT, changed);
        return changed.get(2 * TIMEOUT, TimeUnit.MILLISECONDS).getExtraInfo();
    }
}
