import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** timer.send, timer.recall: messages with a time, and their recall; of clients from 5.4.0 on */
public final class Timers implements ClientPeer.Part {
    @Override
    public void register(Map<String, Peer.Command> commands) {
        commands.put("timer.send", this::send);
        commands.put("timer.recall", this::recall);
    }

    private static DefaultMQProducer producer(Peer.Args args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(args.text("group"));
        producer.setNamesrvAddr(args.text("namesrv"));
        producer.setInstanceName("timer-" + System.nanoTime());
        producer.setSendMsgTimeout(10_000);
        producer.start();
        return producer;
    }

    /** Messages of one run. `way`: deliver, ms or sec, with `delayMs` from the moment of the send on. */
    private Object send(Peer.Args args) throws Exception {
        DefaultMQProducer producer = producer(args);
        try {
            List<Object> sent = new ArrayList<>();
            int from = args.number("from", 0);
            long delayMs = args.number("delayMs");
            for (int index = from; index < from + args.number("count"); index++) {
                Message message = Samples.message(args.text("topic"), args.text("run"), index);
                long now = System.currentTimeMillis();
                switch (args.text("way")) {
                    case "sec":
                        message.setDelayTimeSec(delayMs / 1_000);
                        break;
                    case "ms":
                        message.setDelayTimeMs(delayMs);
                        break;
                    default:
                        message.setDeliverTimeMs(now + delayMs);
                }
                SendResult result = producer.send(message);
                Map<String, Object> one = new TreeMap<>();
                one.put("status", String.valueOf(result.getSendStatus()));
                one.put("queueId", result.getMessageQueue().getQueueId());
                one.put("topic", result.getMessageQueue().getTopic());
                one.put("msgId", result.getMsgId());
                one.put("handle", String.valueOf(result.getRecallHandle()));
                one.put("wanted", now + delayMs);
                sent.add(one);
            }
            return sent;
        } finally {
            producer.shutdown();
        }
    }

    /** The id that the broker answers with, or the code of its refusal. */
    private Object recall(Peer.Args args) throws Exception {
        DefaultMQProducer producer = producer(args);
        try {
            return producer.recallMessage(args.text("topic"), args.text("handle"));
        } catch (MQBrokerException e) {
            return "code " + e.getResponseCode();
        } finally {
            producer.shutdown();
        }
    }
}
