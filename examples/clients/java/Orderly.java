import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.message.Message;

/** The steps of one order go to one queue, and a group has one listener at a time on each queue. */
public final class Orderly {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("orderly-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        for (String step : new String[] {"created", "paid", "sent"}) {
            Message message = new Message("orderly-java", step.getBytes(StandardCharsets.UTF_8));
            producer.send(message, new SelectMessageQueueByHash(), "order-42");
        }

        CountDownLatch three = new CountDownLatch(3);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("orderly-java-listeners");
        consumer.setNamesrvAddr(namesrv);
        consumer.subscribe("orderly-java", "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(message -> {
                System.out.println(new String(message.getBody(), StandardCharsets.UTF_8));
                three.countDown();
            });
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        three.await();
        System.exit(0);
    }
}
