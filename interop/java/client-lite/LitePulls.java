import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/** litepull.drain, of clients from 4.6.0 on */
public final class LitePulls implements ClientPeer.Part {
    @Override
    public void register(Map<String, Peer.Command> commands) {
        commands.put("litepull.drain", this::litePull);
    }

    /** Subscribes, polls until `distinct` messages are here or nothing came for a while, commits and stops. */
    private Object litePull(Peer.Args args) throws Exception {
        Received received = new Received(args.text("run"));
        DefaultLitePullConsumer client = new DefaultLitePullConsumer(args.text("group"));
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        client.setPullBatchSize(32);
        client.subscribe(args.text("topic"), args.text("tags", "*"));
        client.start();
        try {
            long deadline = System.currentTimeMillis() + args.number("timeout", 60_000);
            int distinct = 0;
            while (distinct < args.number("distinct") && System.currentTimeMillis() < deadline) {
                for (MessageExt message : client.poll(1_000)) {
                    if (received.add(message) == 0) {
                        distinct++;
                    }
                }
            }
            client.commitSync();
            return received.report(false);
        } finally {
            client.shutdown();
        }
    }
}
