import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** Each member of a group gets each message. What fails does not come again, and each member keeps its own offsets. */
public final class Broadcast {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("broadcast-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        producer.send(new Message("broadcast-java", "to all".getBytes(StandardCharsets.UTF_8)));

        CountDownLatch both = new CountDownLatch(2);
        for (String member : new String[] {"one", "two"}) {
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("broadcast-java-listeners");
            consumer.setNamesrvAddr(namesrv);
            consumer.setInstanceName(member);
            consumer.setMessageModel(MessageModel.BROADCASTING);
            // Otherwise a member that was never there begins with what comes from now on.
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe("broadcast-java", "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(message -> {
                    System.out.println(member + " got: " + new String(message.getBody(), StandardCharsets.UTF_8));
                    both.countDown();
                });
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
        }
        both.await();
        System.exit(0);
    }
}
