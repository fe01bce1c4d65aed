import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;

/** A question to whoever listens, and the answer to who asked. The topic has to be there: `vernier topic create request-java`. */
public final class RequestReply {
    public static void main(String[] args) throws Exception {
        String namesrv = args.length > 0 ? args[0] : "127.0.0.1:9876";
        DefaultMQProducer producer = new DefaultMQProducer("request-producers");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("request-java-listeners");
        consumer.setNamesrvAddr(namesrv);
        consumer.subscribe("request-java", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            try {
                String question = new String(messages.get(0).getBody(), StandardCharsets.UTF_8);
                byte[] answer = (question + " 42").getBytes(StandardCharsets.UTF_8);
                producer.send(MessageUtil.createReplyMessage(messages.get(0), answer));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception error) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start();

        Message reply = producer.request(new Message("request-java", "six by seven?".getBytes(StandardCharsets.UTF_8)), 60_000);
        System.out.println(new String(reply.getBody(), StandardCharsets.UTF_8));
        System.exit(0);
    }
}
