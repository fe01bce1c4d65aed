// Messages that are delivered when a local transaction has ended well. The topic takes such messages:
// vernier topic create transaction-grpc --type TRANSACTION
import { options, Producer, receive } from './client.mjs';

const [COMMIT] = [1];

const producer = new Producer({
  ...options,
  topics: ['transaction-grpc'],
  // The broker asks about a transaction that nobody ended: its producer may have died in the middle.
  checker: { check: async () => COMMIT },
});
await producer.startup();

async function order(name, isPaid) {
  const transaction = producer.beginTransaction();
  await producer.send({ topic: 'transaction-grpc', body: Buffer.from(name) }, transaction);
  // Here the local transaction runs. Nobody gets the message before its end.
  if (isPaid) await transaction.commit();
  else await transaction.rollback();
}
await order('order 41', false);
await order('order 42', true);
await producer.shutdown();

for (const body of await receive('transaction-grpc', 'transaction-grpc-listeners', 1)) console.log(`got: ${body}`);
process.exit(0);
