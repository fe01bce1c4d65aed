// Outbox: an order is accepted once its event is on disk. A relay hands the events on, each at least once, and goes on
// after a crash where it was.
//
//   node examples/outbox.mjs DIRECTORY [ORDERS]
import { MessageStore } from '@vernier/store';

const [directory, orders = '3'] = process.argv.slice(2);
if (directory === undefined) {
  console.error('usage: node outbox.mjs DIRECTORY [ORDERS]');
  process.exit(2);
}

const store = await MessageStore.open({ storePathRootDir: directory, mappedFileSizeCommitLog: 16 * 1024 * 1024 });

async function acceptOrder(id) {
  const body = JSON.stringify({ id, total: 10 * id });
  const result = await store.putMessage({ topic: 'orders', keys: `order-${id}`, body });
  // PUT_OK under SYNC_FLUSH, the default: the event is on disk. Everything else is a reason to tell the customer no.
  if (result.status !== 'PUT_OK') throw new Error(`order ${id} was not accepted: ${result.status}: ${result.reason}`);
  console.log(`accepted order ${id}`);
}

// Stands for the mail, the webhook, the other service. It may see an event twice after a crash, never not at all.
async function deliver(event) {
  console.log(`delivered order ${event.id}`);
}

/** The next event to deliver: what the last message of the position's own queue says. */
async function readPosition() {
  const end = store.getMaxOffsetInQueue('outbox-position', 0);
  if (end === 0) return 0;
  for await (const message of store.readQueue('outbox-position', 0, { from: end - 1 })) {
    return Number(message.body.toString());
  }
  return 0;
}

async function relay() {
  let next = await readPosition();
  for await (const message of store.readQueue('orders', 0, { from: next })) {
    await deliver(JSON.parse(message.body.toString()));
    next = message.queueOffset + 1;
    // Written is enough here: a power cut takes the last positions, and their events are delivered once more.
    await store.putMessage({ topic: 'outbox-position', body: String(next) }, { durability: 'async' });
  }
}

const first = store.getMaxOffsetInQueue('orders', 0) + 1;
await Promise.all(Array.from({ length: Number(orders) }, (_, index) => acceptOrder(first + index)));
await relay();
await store.shutdown();
