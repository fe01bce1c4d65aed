// A message to the broker and back.
import { options, Producer, receive } from './client.mjs';

const producer = new Producer({ ...options, topics: ['hello-grpc'] });
await producer.startup();
// It is on disk when this resolves.
await producer.send({ topic: 'hello-grpc', tag: 'greeting', body: Buffer.from('hello') });
await producer.shutdown();

for (const body of await receive('hello-grpc', 'hello-grpc-listeners', 1)) console.log(`got: ${body}`);
process.exit(0);
