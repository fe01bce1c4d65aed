// A message that could not be processed comes again, ten seconds later at first, then later each time.
import { Consumer, consume, Message, producer } from './client.mjs';

const client = await producer('retry-producers');
await client.send(new Message('retry-node', 'TagA', 'difficult'));

await consume('retry-node-listeners', 'retry-node', '*', (message) => {
  console.log(`try ${message.reconsumeTimes + 1}: ${message.body}`);
  return message.reconsumeTimes === 0 ? Consumer.ACTION_RETRY : undefined;
});
await client.close();
process.exit(0);
