import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/**
 * RocketMQ's own client of the gRPC protocol as a load, without TLS: threads that each send synchronously, or that receive
 * up to 32 messages and acknowledge each. Arguments: "send" or "receive", endpoints, topic, group, threads, body bytes,
 * warm-up seconds, measured seconds. Prints "READY" when the warm-up is over and, at the end, one line of JSON.
 */
public final class BenchGrpc {
    private static final int MAX_SAMPLES_A_THREAD = 4_000_000;

    /** What a thread does again and again; it counts each message by itself. */
    private interface Work {
        void run(Samples samples) throws Exception;
    }

    private static final class Samples {
        private final long from;
        private final long to;
        private int[] micros = new int[1 << 14];
        private int count;

        private Samples(long from, long to) {
            this.from = from;
            this.to = to;
        }

        private void add(long before, long after) {
            if (before < from || after > to || count == MAX_SAMPLES_A_THREAD) return;
            if (count == micros.length) micros = Arrays.copyOf(micros, count * 2);
            micros[count++] = (int) Math.min(Integer.MAX_VALUE, (after - before) / 1000);
        }
    }

    public static void main(String[] args) throws Exception {
        boolean isSend = args[0].equals("send");
        String topic = args[2];
        int threads = Integer.parseInt(args[4]);
        byte[] body = new byte[Integer.parseInt(args[5])];
        long warmupNanos = Long.parseLong(args[6]) * 1_000_000_000L;
        long measuredNanos = Long.parseLong(args[7]) * 1_000_000_000L;
        new Random(1).nextBytes(body);

        ClientServiceProvider provider = ClientServiceProvider.loadService();
        ClientConfiguration configuration = ClientConfiguration.newBuilder()
            .setEndpoints(args[1]).enableSsl(false).setRequestTimeout(Duration.ofSeconds(10)).build();
        AutoCloseable client;
        Work work;
        if (isSend) {
            Producer producer =
                provider.newProducerBuilder().setClientConfiguration(configuration).setTopics(topic).build();
            client = producer;
            work = samples -> {
                long before = System.nanoTime();
                producer.send(provider.newMessageBuilder().setTopic(topic).setTag("TagA").setBody(body).build());
                samples.add(before, System.nanoTime());
            };
        } else {
            SimpleConsumer consumer = provider.newSimpleConsumerBuilder().setClientConfiguration(configuration)
                .setConsumerGroup(args[3]).setAwaitDuration(Duration.ofSeconds(5))
                .setSubscriptionExpressions(Map.of(topic, FilterExpression.SUB_ALL)).build();
            client = consumer;
            work = samples -> {
                for (MessageView view : consumer.receive(32, Duration.ofSeconds(120))) {
                    long before = System.nanoTime();
                    consumer.ack(view);
                    samples.add(before, System.nanoTime());
                }
            };
        }

        AtomicLong failed = new AtomicLong();
        CountDownLatch done = new CountDownLatch(threads);
        long measureFrom = System.nanoTime() + warmupNanos;
        long end = measureFrom + measuredNanos;
        Samples[] all = new Samples[threads];
        for (int index = 0; index < threads; index++) {
            Samples samples = new Samples(measureFrom, end);
            all[index] = samples;
            new Thread(() -> {
                while (System.nanoTime() < end) {
                    try {
                        work.run(samples);
                    } catch (Exception error) {
                        if (failed.incrementAndGet() == 1) System.err.println("first failure: " + error);
                    }
                }
                done.countDown();
            }, "bench-" + index).start();
        }
        Thread.sleep(warmupNanos / 1_000_000L);
        System.out.println("READY");
        System.out.flush();
        done.await();

        int[] micros = Arrays.stream(all).flatMapToInt(one -> Arrays.stream(one.micros, 0, one.count)).sorted().toArray();
        System.out.write(String.format("{\"count\":%d,\"seconds\":%.3f,\"p50Us\":%d,\"p99Us\":%d,\"p999Us\":%d,\"maxUs\":%d,"
                + "\"failed\":%d,\"notOk\":0}%n", micros.length, measuredNanos / 1e9, quantile(micros, 0.5),
            quantile(micros, 0.99), quantile(micros, 0.999), quantile(micros, 1), failed.get())
            .getBytes(StandardCharsets.UTF_8));
        System.out.flush();
        client.close();
        System.exit(0);
    }

    private static int quantile(int[] sorted, double quantile) {
        if (sorted.length == 0) return 0;
        return sorted[Math.min(sorted.length - 1, (int) Math.ceil(sorted.length * quantile) - 1)];
    }

    private BenchGrpc() {
    }
}
