import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** producer.start, producer.send, producer.stop */
final class Producers {
    private static final int IN_FLIGHT_MAX = 256;
    private static final int BATCH_COUNT = 32;

    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("producer.start", this::start);
        commands.put("producer.send", this::send);
        commands.put("producer.stop", args -> {
            producers.remove(args.text("name")).shutdown();
            return "stopped";
        });
    }

    private Object start(Peer.Args args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(args.text("group"));
        producer.setNamesrvAddr(args.text("namesrv"));
        producer.setInstanceName(args.text("name"));
        producer.setSendMsgTimeout(args.number("sendMsgTimeout", 10_000));
        producer.setRetryTimesWhenSendFailed(args.number("retries", 2));
        producer.setRetryTimesWhenSendAsyncFailed(args.number("retries", 2));
        producer.start();
        producers.put(args.text("name"), producer);
        return "started";
    }

    /** What became of the messages of one send command. */
    private static final class Tally {
        final Map<String, Integer> status = new TreeMap<>();
        final Map<String, Integer> errors = new TreeMap<>();
        final List<Map<String, Object>> samples = new ArrayList<>();

        synchronized void sent(int index, int count, SendResult result) {
            status.merge(String.valueOf(result.getSendStatus()), count, Integer::sum);
            if (samples.size() < 20) {
                Map<String, Object> sample = new TreeMap<>();
                sample.put("index", index);
                sample.put("msgId", result.getMsgId());
                sample.put("offsetMsgId", result.getOffsetMsgId());
                sample.put("queueId", result.getMessageQueue().getQueueId());
                sample.put("queueOffset", result.getQueueOffset());
                samples.add(sample);
            }
        }

        synchronized void failed(int count, Throwable error) {
            // What the broker said is the cause of what the client says.
            StringBuilder text = new StringBuilder(error.toString());
            for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
                text.append(" <- ").append(cause);
            }
            errors.merge(text.toString(), count, Integer::sum);
        }
    }

    private interface Work {
        void run(int from, int to) throws Exception;
    }

    private Object send(Peer.Args args) throws Exception {
        DefaultMQProducer producer = producers.get(args.text("name"));
        String topic = args.text("topic");
        String run = args.text("run");
        String mode = args.text("mode");
        int from = args.number("from", 0);
        int to = from + args.number("count");
        Tally tally = new Tally();
        long began = System.nanoTime();
        if (mode.equals("async")) {
            async(producer, topic, run, from, to, tally);
        } else {
            // Each thread takes a stretch of the numbers, so that within one queue a thread's messages stay in order.
            parallel(args.number("threads", 1), from, to, (first, last) -> {
                for (int index = first; index < last; index++) {
                    int count = mode.equals("batch") ? Math.min(BATCH_COUNT, last - index) : 1;
                    try {
                        if (mode.equals("oneway")) {
                            producer.sendOneway(Samples.message(topic, run, index));
                            // A oneway message that a busy broker refuses is lost by design; 64 a stretch stay below that.
                            if (index % 64 == 0) {
                                LockSupport.parkNanos(3_000_000);
                            }
                        } else if (mode.equals("batch")) {
                            List<Message> batch = new ArrayList<>();
                            for (int i = index; i < index + count; i++) {
                                batch.add(Samples.message(topic, run, i));
                            }
                            tally.sent(index, count, producer.send(batch));
                        } else {
                            tally.sent(index, 1, producer.send(Samples.message(topic, run, index)));
                        }
                    } catch (Exception error) {
                        tally.failed(count, error);
                    }
                    index += count - 1;
                }
            });
        }
        Map<String, Object> answer = new TreeMap<>();
        answer.put("status", tally.status);
        answer.put("errors", tally.errors);
        answer.put("samples", tally.samples);
        answer.put("millis", (System.nanoTime() - began) / 1_000_000);
        return answer;
    }

    private static void parallel(int threads, int from, int to, Work work) throws Exception {
        List<Thread> running = new ArrayList<>();
        AtomicInteger broken = new AtomicInteger();
        for (int i = 0; i < threads; i++) {
            int first = from + (int) ((long) (to - from) * i / threads);
            int last = from + (int) ((long) (to - from) * (i + 1) / threads);
            Thread thread = new Thread(() -> {
                try {
                    work.run(first, last);
                } catch (Exception error) {
                    broken.incrementAndGet();
                    error.printStackTrace();
                }
            });
            thread.start();
            running.add(thread);
        }
        for (Thread thread : running) {
            thread.join();
        }
        if (broken.get() > 0) {
            throw new IllegalStateException(broken.get() + " sending threads ended early");
        }
    }

    private static void async(DefaultMQProducer producer, String topic, String run, int from, int to, Tally tally)
        throws Exception {
        Semaphore free = new Semaphore(IN_FLIGHT_MAX);
        CountDownLatch open = new CountDownLatch(to - from);
        for (int i = from; i < to; i++) {
            int index = i;
            free.acquire();
            producer.send(Samples.message(topic, run, index), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    tally.sent(index, 1, result);
                    free.release();
                    open.countDown();
                }

                @Override
                public void onException(Throwable error) {
                    tally.failed(1, error);
                    free.release();
                    open.countDown();
                }
            });
        }
        open.await();
    }
}
