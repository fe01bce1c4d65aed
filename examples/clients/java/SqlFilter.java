import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** The broker looks at the properties of a message, and gives a group what it asks for. */
public final class SqlFilter {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("filter-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        for (int price = 10; price <= 50; price += 10) {
            Message message = new Message("filter-java", ("price " + price).getBytes(StandardCharsets.UTF_8));
            message.putUserProperty("price", String.valueOf(price));
            producer.send(message);
        }

        CountDownLatch two = new CountDownLatch(2);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("filter-java-listeners");
        consumer.setNamesrvAddr(namesrv);
        consumer.subscribe("filter-java", MessageSelector.bySql("price BETWEEN 30 AND 40"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> {
                System.out.println(new String(message.getBody(), StandardCharsets.UTF_8));
                two.countDown();
            });
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        two.await();
        System.exit(0);
    }
}
