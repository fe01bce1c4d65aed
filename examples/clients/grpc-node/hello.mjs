// A message to the broker and back. The first argument is the address of the proxy.
import rocketmq from 'rocketmq-client-nodejs';

const { FilterExpression, Producer, SimpleConsumer } = rocketmq;
const logger = { debug() {}, info() {}, warn() {}, error: console.error };
const options = { endpoints: process.argv[2] ?? '127.0.0.1:8081', namespace: '', logger };

const producer = new Producer({ ...options, topics: ['hello-grpc'] });
await producer.startup();
await producer.send({ topic: 'hello-grpc', body: Buffer.from('hello') }); // it is on disk when this resolves
await producer.shutdown();

const subscriptions = new Map([['hello-grpc', FilterExpression.SUB_ALL]]);
const consumer = new SimpleConsumer({ ...options, consumerGroup: 'hello-grpc-listeners', subscriptions });
await consumer.startup();
let messages = [];
while (messages.length === 0) messages = await consumer.receive(32, 15_000); // nobody else gets them for 15 seconds
for (const message of messages) {
  console.log(`got: ${message.body}`);
  await consumer.ack(message);
}
await consumer.shutdown();
process.exit(0);
