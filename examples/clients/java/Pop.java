import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/**
 * A push consumer whose broker shares the queues: more members than queues get work. The group's mode is set once,
 * `mqadmin setConsumeMode -c DefaultCluster -t pop-java -g pop-java-listeners -m POP -q 8`, or for all groups with
 * defaultMessageRequestMode=POP.
 */
public final class Pop {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("pop-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        producer.send(new Message("pop-java", "a task".getBytes(StandardCharsets.UTF_8)));

        CountDownLatch done = new CountDownLatch(1);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("pop-java-listeners");
        consumer.setNamesrvAddr(namesrv);
        consumer.setClientRebalance(false);
        consumer.subscribe("pop-java", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            boolean popped = messages.get(0).getProperty("POP_CK") != null;
            String text = new String(messages.get(0).getBody(), StandardCharsets.UTF_8);
            System.out.println((popped ? "popped: " : "pulled: ") + text);
            done.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        done.await();
        // It acknowledges what was processed.
        consumer.shutdown();
        System.exit(0);
    }
}
