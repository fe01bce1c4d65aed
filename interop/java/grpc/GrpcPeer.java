import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.SendReceipt;
import org.apache.rocketmq.client.apis.producer.Transaction;
import org.apache.rocketmq.client.apis.producer.TransactionResolution;

/** rocketmq-client-java, Apache's client of the gRPC protocol, behind the commands of interop/grpc-suite.ts. */
public final class GrpcPeer {
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    private static final Map<String, Producer> PRODUCERS = new ConcurrentHashMap<>();
    private static final Map<String, SimpleConsumer> SIMPLES = new ConcurrentHashMap<>();
    /** By consumer and message. */
    private static final Map<String, MessageView> HELD = new ConcurrentHashMap<>();
    private static final Map<String, PushConsumer> PUSHES = new ConcurrentHashMap<>();
    private static final Map<String, Queue<Map<String, Object>>> PUSHED = new ConcurrentHashMap<>();

    private GrpcPeer() {
    }

    private static ClientConfiguration configuration(Peer.Args args) {
        return ClientConfiguration.newBuilder()
            .setEndpoints(args.text("endpoints"))
            .enableSsl(args.flag("tls"))
            .setRequestTimeout(Duration.ofSeconds(10))
            .build();
    }

    private static Map<String, FilterExpression> subscription(Peer.Args args) {
        String sql = args.text("sql", "");
        FilterExpression filter = sql.isEmpty()
            ? new FilterExpression(args.text("tag", "*"), FilterExpressionType.TAG)
            : new FilterExpression(sql, FilterExpressionType.SQL92);
        return Map.of(args.text("topic"), filter);
    }

    private static String digest(byte[] body) {
        try {
            StringBuilder text = new StringBuilder();
            for (byte one : MessageDigest.getInstance("SHA-256").digest(body)) {
                text.append(String.format("%02x", one));
            }
            return text.toString();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Map<String, Object> shown(MessageView view) {
        byte[] body = new byte[view.getBody().remaining()];
        view.getBody().duplicate().get(body);
        Map<String, Object> shown = new LinkedHashMap<>();
        shown.put("id", view.getMessageId().toString());
        shown.put("body", new String(body, StandardCharsets.UTF_8));
        shown.put("digest", digest(body));
        shown.put("tag", view.getTag().orElse(""));
        shown.put("keys", String.join(" ", view.getKeys()));
        shown.put("attempt", view.getDeliveryAttempt());
        shown.put("properties", new LinkedHashMap<>(view.getProperties()));
        return shown;
    }

    private static Message message(Peer.Args args, int index) {
        StringBuilder body = new StringBuilder(args.text("prefix") + "-" + index);
        while (body.length() < args.number("size", 0)) {
            body.append('.');
        }
        MessageBuilder builder = PROVIDER.newMessageBuilder()
            .setTopic(args.text("topic"))
            .setBody(body.toString().getBytes(StandardCharsets.UTF_8))
            .setKeys("key-" + index)
            .addProperty("index", String.valueOf(index));
        if (!args.text("tag", "").isEmpty()) {
            builder.setTag(args.text("tag"));
        }
        int groups = args.number("groups", 0);
        if (groups > 0) {
            builder.setMessageGroup("group-" + index % groups);
        }
        int delay = args.number("delayMs", 0);
        if (delay > 0) {
            builder.setDeliveryTimestamp(System.currentTimeMillis() + delay);
        }
        return builder.build();
    }

    private static Object startProducer(Peer.Args args) throws Exception {
        String check = args.text("check", "");
        TransactionResolution resolution = check.equals("commit") ? TransactionResolution.COMMIT
            : check.equals("rollback") ? TransactionResolution.ROLLBACK : TransactionResolution.UNKNOWN;
        Producer producer = PROVIDER.newProducerBuilder()
            .setClientConfiguration(configuration(args))
            .setTopics(args.text("topic"))
            .setTransactionChecker(view -> resolution)
            .build();
        PRODUCERS.put(args.text("name"), producer);
        return null;
    }

    private static Object send(Peer.Args args) throws Exception {
        Producer producer = PRODUCERS.get(args.text("name"));
        String resolve = args.text("resolve", "");
        List<Map<String, Object>> receipts = new ArrayList<>();
        for (int index = 0; index < args.number("count"); index++) {
            SendReceipt receipt;
            if (resolve.isEmpty()) {
                receipt = producer.send(message(args, index));
            } else {
                Transaction transaction = producer.beginTransaction();
                receipt = producer.send(message(args, index), transaction);
                if (resolve.equals("commit")) {
                    transaction.commit();
                } else if (resolve.equals("rollback")) {
                    transaction.rollback();
                }
            }
            String handle = receipt.getRecallHandle();
            receipts.add(Map.of("id", receipt.getMessageId().toString(), "handle", handle == null ? "" : handle));
        }
        return receipts;
    }

    private static Object startSimple(Peer.Args args) throws Exception {
        SimpleConsumer consumer = PROVIDER.newSimpleConsumerBuilder()
            .setClientConfiguration(configuration(args))
            .setConsumerGroup(args.text("group"))
            .setAwaitDuration(Duration.ofSeconds(5))
            .setSubscriptionExpressions(subscription(args))
            .build();
        SIMPLES.put(args.text("name"), consumer);
        return null;
    }

    private static String key(Peer.Args args, String id) {
        return args.text("name") + "/" + id;
    }

    private static Object receive(Peer.Args args) throws Exception {
        Duration invisible = Duration.ofMillis(args.number("invisibleMs", 15_000));
        List<Map<String, Object>> messages = new ArrayList<>();
        for (MessageView view : SIMPLES.get(args.text("name")).receive(args.number("max", 32), invisible)) {
            HELD.put(key(args, view.getMessageId().toString()), view);
            messages.add(shown(view));
        }
        return messages;
    }

    private static Object startPush(Peer.Args args) throws Exception {
        String fail = args.text("fail", "");
        Queue<Map<String, Object>> received = new ConcurrentLinkedQueue<>();
        PUSHED.put(args.text("name"), received);
        PushConsumer consumer = PROVIDER.newPushConsumerBuilder()
            .setClientConfiguration(configuration(args))
            .setConsumerGroup(args.text("group"))
            .setSubscriptionExpressions(subscription(args))
            .setMessageListener(view -> {
                received.add(shown(view));
                boolean isFailed = fail.equals("always") || fail.equals("once") && view.getDeliveryAttempt() == 1;
                return isFailed ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
            })
            .build();
        PUSHES.put(args.text("name"), consumer);
        return null;
    }

    private static Object close(AutoCloseable client) throws Exception {
        client.close();
        return null;
    }

    public static void main(String[] parameters) throws Exception {
        Map<String, Peer.Command> commands = new LinkedHashMap<>();
        commands.put("producer.start", GrpcPeer::startProducer);
        commands.put("producer.send", GrpcPeer::send);
        commands.put("producer.recall", args -> PRODUCERS.get(args.text("name"))
            .recallMessage(args.text("topic"), args.text("handle")).getMessageId().toString());
        commands.put("producer.stop", args -> close(PRODUCERS.remove(args.text("name"))));
        commands.put("simple.start", GrpcPeer::startSimple);
        commands.put("simple.receive", GrpcPeer::receive);
        commands.put("simple.ack", args -> {
            SIMPLES.get(args.text("name")).ack(HELD.get(key(args, args.text("id"))));
            return null;
        });
        commands.put("simple.change", args -> {
            SIMPLES.get(args.text("name")).changeInvisibleDuration(HELD.get(key(args, args.text("id"))),
                Duration.ofMillis(args.number("ms")));
            return null;
        });
        commands.put("simple.stop", args -> close(SIMPLES.remove(args.text("name"))));
        commands.put("push.start", GrpcPeer::startPush);
        commands.put("push.received", args -> new ArrayList<>(PUSHED.get(args.text("name"))));
        commands.put("push.stop", args -> close(PUSHES.remove(args.text("name"))));
        Peer.serve(commands);
    }
}
