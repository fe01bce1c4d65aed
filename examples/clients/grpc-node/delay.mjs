// A message that comes at its time. The topic takes such messages: vernier topic create delay-grpc --type DELAY
import { options, Producer, receive } from './client.mjs';

const producer = new Producer({ ...options, topics: ['delay-grpc'] });
await producer.startup();
const at = Date.now() + 2_000;
const body = Buffer.from('later');
await producer.send({ topic: 'delay-grpc', body, deliveryTimestamp: new Date(at) });
await producer.shutdown();

for (const got of await receive('delay-grpc', 'delay-grpc-listeners', 1)) {
  console.log(`${got}, ${Date.now() >= at ? 'after' : 'before'} its time`);
}
process.exit(0);
