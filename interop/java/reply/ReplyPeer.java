import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Producers that ask and consumers that answer: answerer.start, answerer.stop, asker.start, asker.ask, asker.stop */
public final class ReplyPeer {
    private static final Map<String, DefaultMQProducer> askers = new ConcurrentHashMap<>();
    private static final Map<String, Runnable> answerers = new ConcurrentHashMap<>();

    private ReplyPeer() {
    }

    /** Answers each request by its body in front of `-answered`, with the code that RocketMQ's clients send it with. */
    private static Object startAnswerer(Peer.Args args) throws Exception {
        DefaultMQProducer sender = new DefaultMQProducer(args.text("group") + "-replies");
        sender.setNamesrvAddr(args.text("namesrv"));
        sender.setInstanceName(args.text("name"));
        sender.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(args.text("group"));
        consumer.setNamesrvAddr(args.text("namesrv"));
        consumer.setInstanceName(args.text("name"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(args.text("topic"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    String text = new String(message.getBody(), StandardCharsets.UTF_8) + "-answered";
                    Message reply = MessageUtil.createReplyMessage(message, text.getBytes(StandardCharsets.UTF_8));
                    sender.send(reply, 10_000);
                } catch (Exception error) {
                    error.printStackTrace();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        answerers.put(args.text("name"), () -> {
            consumer.shutdown();
            sender.shutdown();
        });
        return true;
    }

    private static Object startAsker(Peer.Args args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(args.text("group"));
        producer.setNamesrvAddr(args.text("namesrv"));
        producer.setInstanceName(args.text("name"));
        producer.setCompressMsgBodyOverHowmuch(1_000);
        producer.start();
        askers.put(args.text("name"), producer);
        return true;
    }

    private static Object ask(Peer.Args args) throws Exception {
        Message request = new Message(args.text("topic"), args.text("body").getBytes(StandardCharsets.UTF_8));
        Map<String, Object> answer = new LinkedHashMap<>();
        try {
            Message reply = askers.get(args.text("name")).request(request, args.number("timeout", 30_000));
            answer.put("body", new String(reply.getBody(), StandardCharsets.UTF_8));
            answer.put("topic", reply.getTopic());
            answer.put("sameCorrelation",
                reply.getProperty("CORRELATION_ID").equals(request.getProperty("CORRELATION_ID")));
            answer.put("hasPushTime", reply.getProperty("PUSH_REPLY_TIME") != null);
        } catch (Exception error) {
            error.printStackTrace();
            answer.put("error", error.getClass().getSimpleName() + causeOf(error));
        }
        return answer;
    }

    private static String causeOf(Exception error) {
        return error.getCause() == null ? "" : ": " + error.getCause();
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Peer.Command> commands = new HashMap<>();
        commands.put("answerer.start", ReplyPeer::startAnswerer);
        commands.put("answerer.stop", args -> {
            answerers.remove(args.text("name")).run();
            return true;
        });
        commands.put("asker.start", ReplyPeer::startAsker);
        commands.put("asker.ask", ReplyPeer::ask);
        commands.put("asker.stop", args -> {
            askers.remove(args.text("name")).shutdown();
            return true;
        });
        Peer.serve(commands);
    }
}
