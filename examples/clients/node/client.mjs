// What every program here needs: the client, the nameserver of the first argument, and a producer or a consumer of it.
import { createRequire } from 'node:module';

export const { Consumer, Message, Producer } = createRequire(import.meta.url)('ali-ons');

const options = {
  nameSrv: process.argv[2] ?? '127.0.0.1:9876',
  // The client asks for one, and uses it only to look up nameservers at Aliyun.
  httpclient: { request: () => Promise.reject(new Error('no HTTP here')) },
  logger: { debug() {}, info() {}, warn() {}, error: console.error },
};

export async function producer(producerGroup) {
  const client = new Producer({ ...options, producerGroup });
  client.on('error', console.error);
  await client.ready();
  return client;
}

/** Calls `listener` with each message, until it has got `count` of them that it did not refuse. */
export async function consume(consumerGroup, topic, subscription, listener, count = 1, more = {}) {
  const client = new Consumer({
    ...options,
    consumerGroup,
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    // How soon it sees that its group has a topic of retries; 30 s otherwise.
    pollNameServerInteval: 2_000,
    rebalanceInterval: 2_000,
    ...more,
  });
  client.on('error', console.error);
  await new Promise((resolve) => {
    client.subscribe(topic, subscription, async (message) => {
      const answer = await listener(message);
      if (answer === undefined) count -= 1;
      if (count === 0) resolve();
      return answer;
    });
  });
  await client.close();
}
