import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageExt;

/** What one consumer received: how many, how often, in which order, and whether each message is intact. */
final class Received {
    private static final int FAULTS_KEPT = 10;

    private static final class Queue {
        final Set<Long> offsets = new HashSet<>();
        long first = Long.MAX_VALUE;
        long last = -1;
        /** Offset of the latest first delivery. */
        long latest = -1;
    }

    private final String run;
    private final Map<String, Queue> queues = new TreeMap<>();
    private final Set<Integer> indexes = new HashSet<>();
    private final Map<String, Integer> tags = new TreeMap<>();
    private final Map<Integer, Integer> redelivered = new HashMap<>();
    private final List<String> faults = new ArrayList<>();
    private int total;
    private int foreign;
    private int faulty;
    private int disordered;

    Received(String run) {
        this.run = run;
    }

    /** Answers how often this message was delivered before; -1 for a message of another run, which is only counted. */
    synchronized int add(MessageExt message) {
        if (!run.equals(message.getUserProperty("run"))) {
            foreign++;
            return -1;
        }
        total++;
        String fault = Samples.fault(message);
        if (fault != null) {
            faulty++;
            if (faults.size() < FAULTS_KEPT) {
                faults.add(fault);
            }
        }
        int index = Integer.parseInt(message.getUserProperty("index"));
        boolean first = indexes.add(index);
        // A message that is consumed again after a failure comes from the group's retry topic, with its own offsets.
        if (message.getReconsumeTimes() == 0) {
            // The broker's name is not in a message before 4.6.0; one broker is one store host here.
            Queue queue = queues.computeIfAbsent(message.getStoreHost() + "/" + message.getQueueId(), key -> new Queue());
            long offset = message.getQueueOffset();
            if (queue.offsets.add(offset)) {
                if (offset < queue.latest) {
                    disordered++;
                }
                queue.latest = Math.max(queue.latest, offset);
                queue.first = Math.min(queue.first, offset);
                queue.last = Math.max(queue.last, offset);
            }
        }
        if (first) {
            tags.merge(String.valueOf(message.getTags()), 1, Integer::sum);
            notifyAll();
            return 0;
        }
        return redelivered.merge(index, 1, Integer::sum);
    }

    synchronized void await(int distinct, long timeoutMillis) throws InterruptedException {
        long deadline = System.currentTimeMillis() + timeoutMillis;
        while (indexes.size() < distinct && System.currentTimeMillis() < deadline) {
            wait(Math.max(1, deadline - System.currentTimeMillis()));
        }
    }

    synchronized Map<String, Object> report(boolean withIndexes) {
        Map<String, Object> answer = new TreeMap<>();
        answer.put("total", total);
        answer.put("distinct", indexes.size());
        answer.put("duplicates", total - indexes.size());
        answer.put("foreign", foreign);
        answer.put("faulty", faulty);
        answer.put("faults", faults);
        answer.put("disordered", disordered);
        answer.put("tags", tags);
        Map<String, Object> perQueue = new TreeMap<>();
        long gaps = 0;
        for (Map.Entry<String, Queue> entry : queues.entrySet()) {
            Queue queue = entry.getValue();
            gaps += queue.last - queue.first + 1 - queue.offsets.size();
            perQueue.put(entry.getKey(), queue.offsets.size());
        }
        answer.put("queues", perQueue);
        answer.put("gaps", gaps);
        if (withIndexes) {
            answer.put("indexes", new ArrayList<>(indexes));
        }
        return answer;
    }
}
