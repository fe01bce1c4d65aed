import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** A message that comes later: by level (2 is five seconds), and at a time. */
public final class Delay {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("delay-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        Message byLevel = new Message("delay-java", "by level".getBytes(StandardCharsets.UTF_8));
        byLevel.setDelayTimeLevel(2);
        producer.send(byLevel);
        Message byTime = new Message("delay-java", "by time".getBytes(StandardCharsets.UTF_8));
        byTime.setDeliverTimeMs(System.currentTimeMillis() + 3_000);
        producer.send(byTime);

        CountDownLatch both = new CountDownLatch(2);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("delay-java-listeners");
        consumer.setNamesrvAddr(namesrv);
        consumer.subscribe("delay-java", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> {
                long waited = message.getStoreTimestamp() - message.getBornTimestamp();
                String text = new String(message.getBody(), StandardCharsets.UTF_8);
                System.out.println(text + ", " + (waited >= 3_000 ? "after its time" : "too early: " + waited + " ms"));
                both.countDown();
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        both.await();
        System.exit(0);
    }
}
