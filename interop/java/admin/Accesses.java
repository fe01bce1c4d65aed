import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** access.*: requests, a producer and a consumer that sign as RocketMQ's client does, or do not. */
final class Accesses {
    private static final long TIMEOUT = 10_000;

    private final Map<String, NettyRemotingClient> clients = new HashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("access.ask", this::ask);
        commands.put("access.send", Accesses::send);
        commands.put("access.consume", Accesses::consume);
    }

    /** Null without an access key. */
    static RPCHook hook(Peer.Args args) {
        String user = args.text("accessKey", "");
        return user.isEmpty() ? null : new AclClientRPCHook(new SessionCredentials(user, args.text("secretKey")));
    }

    /** One request; its fields are those whose names begin with a colon. */
    private synchronized Object ask(Peer.Args args) throws Exception {
        String key = args.text("accessKey", "") + '/' + args.text("secretKey", "");
        NettyRemotingClient client = clients.get(key);
        if (client == null) {
            client = new NettyRemotingClient(new NettyClientConfig());
            client.start();
            RPCHook hook = hook(args);
            if (hook != null) {
                client.registerRPCHook(hook);
            }
            clients.put(key, client);
        }
        RemotingCommand request = RemotingCommand.createRequestCommand(args.number("code"), null);
        HashMap<String, String> fields = new HashMap<>();
        for (String field : args.text("fields", "").split("&")) {
            int equals = field.indexOf('=');
            if (equals > 0) {
                fields.put(field.substring(0, equals), field.substring(equals + 1));
            }
        }
        request.setExtFields(fields);
        String body = args.text("body", "");
        if (!body.isEmpty()) {
            request.setBody(body.getBytes(StandardCharsets.UTF_8));
        }
        RemotingCommand response = client.invokeSync(args.text("address"), request, TIMEOUT);
        Map<String, Object> answer = new TreeMap<>();
        answer.put("code", response.getCode());
        answer.put("remark", String.valueOf(response.getRemark()));
        return answer;
    }

    /** How one message is sent: SEND_OK, or the code of the refusal. */
    private static Object send(Peer.Args args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("producers-" + System.nanoTime(), hook(args));
        producer.setNamesrvAddr(args.text("namesrv"));
        producer.setInstanceName("access-" + System.nanoTime());
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        try {
            byte[] body = args.text("body", "x").getBytes(StandardCharsets.UTF_8);
            return String.valueOf(producer.send(new Message(args.text("topic"), body), TIMEOUT).getSendStatus());
        } catch (MQBrokerException refused) {
            return "CODE " + refused.getResponseCode();
        } catch (MQClientException refused) {
            return refused.getMessage().contains("No route info") ? "NO ROUTE" : "CODE " + refused.getResponseCode();
        } finally {
            producer.shutdown();
        }
    }

    /** Whether one message comes to a push consumer within `millis`. */
    private static Object consume(Peer.Args args) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(args.text("group"), hook(args));
        consumer.setNamesrvAddr(args.text("namesrv"));
        consumer.setInstanceName("access-" + System.nanoTime());
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(args.text("topic"), "*");
        CountDownLatch first = new CountDownLatch(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            first.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        try {
            return first.await(args.number("millis"), TimeUnit.MILLISECONDS);
        } finally {
            consumer.shutdown();
        }
    }
}
