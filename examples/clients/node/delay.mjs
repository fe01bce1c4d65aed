// A message that comes later, by level: 2 is five seconds.
import { consume, Message, producer } from './client.mjs';

const client = await producer('delay-producers');
const message = new Message('delay-node', 'TagA', 'by level');
message.delayTimeLevel = 2;
await client.send(message);

await consume('delay-node-listeners', 'delay-node', '*', ({ body, bornTimestamp, storeTimestamp }) => {
  const waited = storeTimestamp - bornTimestamp;
  console.log(`${body}, ${waited >= 5_000 ? 'after its time' : `too early: ${waited} ms`}`);
});
await client.close();
process.exit(0);
