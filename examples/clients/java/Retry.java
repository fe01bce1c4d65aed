import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** A message that could not be processed comes again, ten seconds later at first, then later each time. */
public final class Retry {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("retry-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        producer.send(new Message("retry-java", "difficult".getBytes(StandardCharsets.UTF_8)));

        CountDownLatch done = new CountDownLatch(1);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("retry-java-listeners");
        consumer.setNamesrvAddr(namesrv);
        consumer.subscribe("retry-java", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            int tries = messages.get(0).getReconsumeTimes();
            System.out.println("try " + (tries + 1) + ": " + new String(messages.get(0).getBody(), StandardCharsets.UTF_8));
            if (tries == 0) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            done.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        done.await();
        System.exit(0);
    }
}
