// Each member of a group gets each message. What fails does not come again, and each member keeps its own offsets.
import { consume, Message, producer } from './client.mjs';

const client = await producer('broadcast-producers');
await client.send(new Message('broadcast-node', 'TagA', 'to all'));

await Promise.all(
  ['one', 'two'].map((instanceName) =>
    consume(
      'broadcast-node-listeners',
      'broadcast-node',
      '*',
      ({ body }) => console.log(`${instanceName} got: ${body}`),
      1,
      {
        instanceName,
        isBroadcast: true,
      },
    ),
  ),
);
await client.close();
process.exit(0);
