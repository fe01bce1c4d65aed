/** Messages of every gRPC method, as clients send them, and odd ones. */
import type { Message, Settings } from '../../../packages/proxy/src/wire/messages.ts';
import { someText } from '../mutate.ts';
import type { Random } from '../random.ts';

const TOPICS = ['fuzz-a', 'fuzz-fifo', 'fuzz-delay', 'fuzz-half', 'fuzz-new', 'canary', 'TBW102'];
const GROUPS = ['g1', 'g2', 'g3'];
export const CLIENTS = ['fuzz@1', 'fuzz@2', 'fuzz@3'];

/** A number as clients give it, and such as none should. */
export const someNumber = (random: Random): number =>
  random.chance(0.7) ? random.below(40) : random.pick([-1, 0, 2 ** 31 - 1, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53)]);

const someInt32 = (random: Random): number => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, someNumber(random)));

const someTime = (random: Random) => ({
  seconds: random.chance(0.8) ? Math.floor(Date.now() / 1_000) + random.below(20) - 10 : someNumber(random),
  nanos: random.chance(0.8) ? random.below(1_000) * 1_000_000 : someInt32(random),
});

const someDuration = (random: Random) => ({
  seconds: random.chance(0.8) ? random.below(90) : someNumber(random),
  nanos: 0,
});

const orText = (random: Random, values: readonly string[]): string =>
  random.chance(0.9) ? random.pick(values) : someText(random).slice(0, 2_000);

const topicIn = (random: Random) => ({ name: orText(random, TOPICS) });
const groupIn = (random: Random) => ({ name: orText(random, GROUPS) });
const queueIn = (random: Random) => ({ topic: topicIn(random), id: random.below(4) - 1 });
const filterIn = (random: Random) => ({
  type: random.below(4),
  expression: orText(random, ['*', 'a', 'a || b', '||', 'a > 3', "b = 'x'"]),
});

function someMessage(random: Random): Message {
  const odd = random.chance(0.3);
  const topic = random.chance(0.8) ? { name: random.pick(TOPICS.slice(0, 5)) } : topicIn(random);
  return {
    topic,
    body: random.bytes(random.skewed(odd ? 40_000 : 400) + (odd ? 0 : 1)),
    userProperties: random.chance(0.3) ? { [someText(random).slice(0, 200)]: someText(random).slice(0, 200) } : {},
    systemProperties: {
      messageId: random.chance(0.95) ? `id-${random.below(100_000)}` : someText(random),
      tag: random.chance(0.5) ? 'a' : someText(random).slice(0, 100),
      keys: random.chance(0.2) ? [someText(random).slice(0, 100)] : [],
      messageType: random.below(8),
      bodyEncoding: random.below(3),
      bornTimestamp: someTime(random),
      ...(topic.name === 'fuzz-fifo' || odd ? { messageGroup: orText(random, ['m', 'n']) } : {}),
      ...(topic.name === 'fuzz-delay' || odd ? { deliveryTimestamp: someTime(random) } : {}),
      ...(odd ? { deliveryAttempt: someInt32(random), orphanedTransactionRecoveryDuration: someDuration(random) } : {}),
      ...(odd ? { liteTopic: orText(random, ['l']), priority: someInt32(random) } : {}),
    },
  };
}

/** What each method takes; `handle` is a receipt of somebody. */
export const requests: Record<string, (random: Random, handle: string) => object> = {
  QueryRoute: (random) => ({
    topic: topicIn(random),
    endpoints: {
      scheme: random.below(5),
      addresses: [{ host: someText(random).slice(0, 99), port: someInt32(random) }],
    },
  }),
  QueryAssignment: (random) => ({ topic: topicIn(random), group: groupIn(random) }),
  Heartbeat: (random) => ({ group: groupIn(random), clientType: random.below(8) }),
  NotifyClientTermination: (random) => ({ group: groupIn(random) }),
  SendMessage: (random) => {
    const count = random.chance(0.8) ? 1 : random.below(5);
    const first = someMessage(random);
    const others = Array.from({ length: Math.max(0, count - 1) }, () => {
      return random.chance(0.8) ? { ...someMessage(random), topic: first.topic! } : someMessage(random);
    });
    return { messages: count === 0 ? [] : [first, ...others] };
  },
  RecallMessage: (random) => ({ topic: topicIn(random), recallHandle: orText(random, ['djEgVCBi', 'v1']) }),
  EndTransaction: (random) => ({
    ...{ topic: topicIn(random), transactionId: `id-${random.below(100_000)}`, messageId: someText(random) },
    ...{ resolution: random.below(4), source: random.below(4) },
  }),
  AckMessage: (random, handle) => ({
    ...{ topic: topicIn(random), group: groupIn(random) },
    entries: Array.from({ length: random.skewed(20) }, () => ({ messageId: 'm', receiptHandle: handle })),
  }),
  ChangeInvisibleDuration: (random, handle) => ({
    ...{ topic: topicIn(random), group: groupIn(random), receiptHandle: handle, suspend: random.chance(0.3) },
    invisibleDuration: someDuration(random),
  }),
  ForwardMessageToDeadLetterQueue: (random, handle) => ({
    ...{ topic: topicIn(random), group: groupIn(random), receiptHandle: handle, messageId: 'm' },
    ...{ deliveryAttempt: someInt32(random), maxDeliveryAttempts: someInt32(random) },
  }),
  SyncLiteSubscription: (random) => ({
    ...{ topic: topicIn(random), group: groupIn(random), action: random.below(6) },
    liteTopicSet: Array.from({ length: random.skewed(30) }, () => someText(random).slice(0, 100)),
  }),
  UpdateOffset: (random) => ({ group: groupIn(random), messageQueue: queueIn(random), offset: someNumber(random) }),
  GetOffset: (random) => ({ group: groupIn(random), messageQueue: queueIn(random) }),
  QueryOffset: (random) => ({
    ...{ messageQueue: queueIn(random), queryOffsetPolicy: random.below(4), timestamp: someTime(random) },
  }),
  ReceiveMessage: (random) => ({
    ...{ group: groupIn(random), messageQueue: queueIn(random), filterExpression: filterIn(random) },
    ...{ batchSize: someInt32(random), invisibleDuration: someDuration(random), autoRenew: random.chance(0.5) },
    ...(random.chance(0.5) ? { longPollingTimeout: someDuration(random) } : {}),
    ...(random.chance(0.3) ? { attemptId: someText(random).slice(0, 300) } : {}),
  }),
  PullMessage: (random) => ({
    ...{ group: groupIn(random), messageQueue: queueIn(random), filterExpression: filterIn(random) },
    ...{ batchSize: someInt32(random), offset: someNumber(random) },
    ...(random.chance(0.3) ? { longPollingTimeout: someDuration(random) } : {}),
  }),
};

export function someSettings(random: Random): Settings {
  const topics = Array.from({ length: random.skewed(6) }, () => topicIn(random));
  const publishing = { topics, validateMessageType: random.chance(0.5), maxBodySize: someInt32(random) };
  const subscription = {
    group: groupIn(random),
    subscriptions: topics.map((topic) => ({ topic, expression: filterIn(random) })),
    fifo: random.chance(0.5),
    receiveBatchSize: someInt32(random),
    longPollingTimeout: someDuration(random),
  };
  return {
    clientType: random.below(8),
    requestTimeout: someDuration(random),
    userAgent: { version: someText(random).slice(0, 100) },
    ...(random.chance(0.4) ? { publishing } : {}),
    ...(random.chance(0.7) ? { subscription } : {}),
  };
}
