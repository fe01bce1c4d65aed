// What every program here needs: the client, and the proxy's address of the first argument.
import { createRequire } from 'node:module';

export const { ConsumeResult, FilterExpression, Producer, PushConsumer, SimpleConsumer } = createRequire(
  import.meta.url,
)('rocketmq-client-nodejs');

// Of a user, for a broker with access control.
const { ACCESS_KEY: accessKey, SECRET_KEY: accessSecret } = process.env;

export const options = {
  endpoints: process.argv[2] ?? '127.0.0.1:8081',
  namespace: '',
  ...(accessKey === undefined ? {} : { sessionCredentials: { accessKey, accessSecret } }),
  logger: { debug() {}, info() {}, warn() {}, error: console.error },
};

/** Receives until there are so many messages, and acknowledges each. */
export async function receive(topic, consumerGroup, count) {
  const subscriptions = new Map([[topic, FilterExpression.SUB_ALL]]);
  const consumer = new SimpleConsumer({ ...options, consumerGroup, subscriptions, awaitDuration: 5_000 });
  await consumer.startup();
  const bodies = [];
  while (bodies.length < count) {
    // Nobody else gets them for 15 seconds; what is not acknowledged by then comes again.
    for (const message of await consumer.receive(32, 15_000)) {
      bodies.push(message.body.toString());
      await consumer.ack(message);
    }
  }
  await consumer.shutdown();
  return bodies;
}
