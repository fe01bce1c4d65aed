import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** transaction.start, transaction.send, transaction.answer, transaction.checks, transaction.stop; of clients from 4.3.0 on */
public final class Transactions implements ClientPeer.Part {
    private static final class Producer implements TransactionListener {
        final TransactionMQProducer client;
        /** What a check is answered with. */
        volatile LocalTransactionState answer = LocalTransactionState.UNKNOW;
        final AtomicInteger checks = new AtomicInteger();
        final Map<String, Integer> checked = new ConcurrentHashMap<>();

        Producer(TransactionMQProducer client) {
            this.client = client;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object state) {
            return (LocalTransactionState) state;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            checks.incrementAndGet();
            checked.merge(String.valueOf(message.getUserProperty("index")), 1, Integer::sum);
            return answer;
        }
    }

    private final Map<String, Producer> producers = new ConcurrentHashMap<>();

    @Override
    public void register(Map<String, Peer.Command> commands) {
        commands.put("transaction.start", this::start);
        commands.put("transaction.send", this::send);
        commands.put("transaction.answer", args -> {
            producers.get(args.text("name")).answer = state(args.text("state"));
            return "set";
        });
        commands.put("transaction.checks", args -> {
            Producer producer = producers.get(args.text("name"));
            Map<String, Object> answer = new TreeMap<>();
            answer.put("total", producer.checks.get());
            answer.put("distinct", producer.checked.size());
            return answer;
        });
        commands.put("transaction.stop", args -> {
            producers.remove(args.text("name")).client.shutdown();
            return "stopped";
        });
    }

    private static LocalTransactionState state(String text) {
        switch (text) {
            case "commit":
                return LocalTransactionState.COMMIT_MESSAGE;
            case "rollback":
                return LocalTransactionState.ROLLBACK_MESSAGE;
            default:
                return LocalTransactionState.UNKNOW;
        }
    }

    private Object start(Peer.Args args) throws Exception {
        TransactionMQProducer client = new TransactionMQProducer(args.text("group"));
        Producer producer = new Producer(client);
        client.setNamesrvAddr(args.text("namesrv"));
        client.setInstanceName(args.text("name"));
        client.setSendMsgTimeout(10_000);
        // A broker that was restarted knows its producers by their next heartbeat; the defaults are 30 s.
        client.setHeartbeatBrokerInterval(1_000);
        client.setPollNameServerInterval(1_000);
        client.setTransactionListener(producer);
        client.start();
        producers.put(args.text("name"), producer);
        return "started";
    }

    private Object send(Peer.Args args) throws Exception {
        TransactionMQProducer client = producers.get(args.text("name")).client;
        LocalTransactionState state = state(args.text("state"));
        Map<String, Integer> status = new TreeMap<>();
        int from = args.number("from", 0);
        for (int index = from; index < from + args.number("count"); index++) {
            Message message = Samples.message(args.text("topic"), args.text("run"), index);
            SendResult result = client.sendMessageInTransaction(message, state);
            status.merge(String.valueOf(result.getSendStatus()), 1, Integer::sum);
        }
        return status;
    }
}
