// The broker looks at the properties of a message, and gives a group what it asks for.
import { consume, Message, producer } from './client.mjs';

const client = await producer('filter-producers');
for (const price of [10, 20, 30, 40, 50]) {
  const message = new Message('filter-node', 'TagA', `price ${price}`);
  message.properties.price = String(price);
  await client.send(message);
}

const cheap = { expressionType: 'SQL92', subString: 'price BETWEEN 30 AND 40' };
await consume('filter-node-listeners', 'filter-node', cheap, ({ body }) => console.log(`${body}`), 2);
await client.close();
process.exit(0);
