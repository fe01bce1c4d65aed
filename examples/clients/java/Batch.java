import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** Several messages in one request: stored one behind the other in one queue, or none of them. */
public final class Batch {
    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("batch-producers");
        producer.setNamesrvAddr(args.length > 0 ? args[0] : "127.0.0.1:9876");
        producer.start();

        SendResult result = producer.send(List.of(
            new Message("batch-java", "TagA", "first".getBytes(StandardCharsets.UTF_8)),
            new Message("batch-java", "TagB", "second".getBytes(StandardCharsets.UTF_8)),
            new Message("batch-java", "TagA", "third".getBytes(StandardCharsets.UTF_8))));
        System.out.println(result.getSendStatus() + ", " + result.getMsgId().split(",").length + " messages");

        producer.shutdown();
        System.exit(0);
    }
}
