import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

/**
 * RocketMQ's own client as a load: threads that send synchronously, one message after the other. They share the producers,
 * each of which has a connection of its own. Arguments: nameserver address, topic, producers, threads of all of them,
 * body bytes, warm-up seconds, measured seconds. Prints "READY" when the warm-up is over and, at the end, one line of JSON.
 */
public final class BenchProducer {
    private static final int MAX_SAMPLES_A_THREAD = 4_000_000;

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String topic = args[1];
        DefaultMQProducer[] producers = new DefaultMQProducer[Integer.parseInt(args[2])];
        int threads = Integer.parseInt(args[3]);
        byte[] body = new byte[Integer.parseInt(args[4])];
        long warmupNanos = Long.parseLong(args[5]) * 1_000_000_000L;
        long measuredNanos = Long.parseLong(args[6]) * 1_000_000_000L;
        new Random(1).nextBytes(body);

        for (int index = 0; index < producers.length; index++) {
            DefaultMQProducer producer = new DefaultMQProducer("bench_java_producer_" + index);
            // Producers of one instance name share a connection.
            producer.setInstanceName("bench-" + index);
            producer.setNamesrvAddr(namesrv);
            producer.setRetryTimesWhenSendFailed(0);
            // A body above this size would be compressed and would no longer be the one that is compared.
            producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
            producer.start();
            producers[index] = producer;
        }

        int[][] micros = new int[threads][];
        int[] counts = new int[threads];
        AtomicLong failed = new AtomicLong();
        AtomicLong notOk = new AtomicLong();
        CountDownLatch done = new CountDownLatch(threads);
        long begin = System.nanoTime();
        long measureFrom = begin + warmupNanos;
        long end = measureFrom + measuredNanos;
        for (int index = 0; index < threads; index++) {
            int self = index;
            DefaultMQProducer producer = producers[index % producers.length];
            Thread thread = new Thread(() -> {
                int[] samples = new int[1 << 14];
                int count = 0;
                for (;;) {
                    long before = System.nanoTime();
                    if (before >= end) break;
                    try {
                        SendResult result = producer.send(new Message(topic, "TagA", body));
                        if (result.getSendStatus() != SendStatus.SEND_OK) {
                            if (notOk.incrementAndGet() == 1) System.err.println("first status: " + result);
                            continue;
                        }
                    } catch (Exception error) {
                        if (failed.incrementAndGet() == 1) System.err.println("first failed send: " + error);
                        continue;
                    }
                    long after = System.nanoTime();
                    if (before < measureFrom || after > end || count == MAX_SAMPLES_A_THREAD) continue;
                    if (count == samples.length) samples = Arrays.copyOf(samples, count * 2);
                    samples[count++] = (int) Math.min(Integer.MAX_VALUE, (after - before) / 1000);
                }
                micros[self] = samples;
                counts[self] = count;
                done.countDown();
            }, "bench-" + index);
            thread.start();
        }
        Thread.sleep(warmupNanos / 1_000_000L);
        System.out.println("READY");
        System.out.flush();
        done.await();
        for (DefaultMQProducer producer : producers) producer.shutdown();

        int total = 0;
        for (int count : counts) total += count;
        int[] all = new int[total];
        int at = 0;
        for (int index = 0; index < threads; index++) {
            System.arraycopy(micros[index], 0, all, at, counts[index]);
            at += counts[index];
        }
        Arrays.sort(all);
        double seconds = measuredNanos / 1e9;
        System.out.write(String.format("{\"count\":%d,\"seconds\":%.3f,\"p50Us\":%d,\"p99Us\":%d,\"p999Us\":%d,\"maxUs\":%d,"
                + "\"failed\":%d,\"notOk\":%d}%n", total, seconds, quantile(all, 0.5), quantile(all, 0.99),
            quantile(all, 0.999), quantile(all, 1), failed.get(), notOk.get()).getBytes(StandardCharsets.UTF_8));
        System.out.flush();
        System.exit(0);
    }

    private static int quantile(int[] sorted, double quantile) {
        if (sorted.length == 0) return 0;
        return sorted[Math.min(sorted.length - 1, (int) Math.ceil(sorted.length * quantile) - 1)];
    }

    private BenchProducer() {
    }
}
