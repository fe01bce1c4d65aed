import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** Takes a timed message back. The broker needs recallMessageEnable=true. */
public final class Recall {
    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("recall-producers");
        producer.setNamesrvAddr(args.length > 0 ? args[0] : "127.0.0.1:9876");
        producer.start();

        Message reminder = new Message("recall-java", "pay within a minute".getBytes(StandardCharsets.UTF_8));
        reminder.setDelayTimeSec(60);
        SendResult sent = producer.send(reminder);
        // Paid: nobody needs to be reminded.
        String id = producer.recallMessage("recall-java", sent.getRecallHandle());
        System.out.println("recalled " + (id.equals(sent.getMsgId()) ? "the message" : id));

        producer.shutdown();
        System.exit(0);
    }
}
