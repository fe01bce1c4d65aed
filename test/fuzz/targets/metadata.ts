/**
 * The JSON files beside the log, damaged: topics.json, subscriptionGroup.json, consumerOffset.json, brokerPort.json,
 * brokerSettings.json, followOffset.json, consumerOrderInfo.json, messageRequestMode.json, topicQueueMapping.json of a broker
 * and kvConfig.json of a nameserver. A start either works on what it found, and then its tables can be asked for
 * and a second start finds them again, or is refused with a code; with a sound previous copy a file that does not parse
 * is no reason to refuse.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Broker, KVConfigManager } from '@vernier/broker';
import { createRequest, parseJavaJson, RemotingClient, RequestCode, ResponseCode } from '@vernier/remoting';
import { MessageStore } from '@vernier/store';
import { mutate, someJson } from '../mutate.ts';
import type { Random } from '../random.ts';
import { expectOwnError, Find, type Target, within } from '../target.ts';

const FILES = [
  'topics.json',
  'subscriptionGroup.json',
  'consumerOffset.json',
  'lmqConsumerOffset.json',
  'brokerPort.json',
  'brokerSettings.json',
  'topicQueueMapping.json',
  'consumerOrderInfo.json',
  'messageRequestMode.json',
  'followOffset.json',
] as const;
const NAMES = [
  ...[
    'topicConfigTable',
    'dataVersion',
    'subscriptionGroupTable',
    'offsetTable',
    'lmqOffsetTable',
    'listenPort',
    'configTable',
    'fuzz-a',
  ],
  ...['topicName', 'readQueueNums', 'writeQueueNums', 'perm', 'topicFilterType', 'topicSysFlag', 'order', 'attributes'],
  ...[
    'groupName',
    'retryMaxTimes',
    'consumeEnable',
    'counter',
    'timestamp',
    'stateVersion',
    'fuzz-a@group-a',
    '__proto__',
  ],
  ...[
    'topicQueueMappingInfoMap',
    'hostedQueues',
    'bname',
    'totalQueues',
    'logicOffset',
    'startOffset',
    'queueId',
    'gen',
    'table',
    'popTime',
    'cm',
    'oc',
    'ot',
    'messageRequestModeMap',
    'mode',
    'popShareQueueNum',
    'queueOffset',
    'pop-offsets',
  ],
];
const TABLE_REQUESTS = [
  RequestCode.GET_ALL_TOPIC_CONFIG,
  RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
  RequestCode.GET_ALL_CONSUMER_OFFSET,
];

const SOUND: Record<(typeof FILES)[number] | 'kvConfig.json', string> = {
  'topics.json': JSON.stringify({
    dataVersion: { counter: 3, stateVersion: 0, timestamp: 1_700_000_000_000 },
    topicConfigTable: Object.fromEntries(
      ['fuzz-a', 'fuzz-b', '%RETRY%group-a'].map((topicName) => [
        topicName,
        {
          attributes: {},
          order: false,
          perm: 6,
          readQueueNums: 4,
          topicFilterType: 'SINGLE_TAG',
          topicName,
          topicSysFlag: 0,
          writeQueueNums: 4,
        },
      ]),
    ),
  }),
  'subscriptionGroup.json': JSON.stringify({
    dataVersion: { counter: 1, stateVersion: 0, timestamp: 1_700_000_000_000 },
    subscriptionGroupTable: {
      'group-a': {
        brokerId: 0,
        consumeBroadcastEnable: true,
        consumeEnable: true,
        groupName: 'group-a',
        retryMaxTimes: 16,
        retryQueueNums: 1,
      },
    },
  }),
  // As the Java side writes it: the keys of the inner maps without quotes.
  'consumerOffset.json':
    '{"dataVersion":{"counter":7,"stateVersion":0,"timestamp":1700000000000},"offsetTable":{"fuzz-a@group-a":{0:12,1:7}}}',
  'lmqConsumerOffset.json':
    '{"dataVersion":{"counter":7,"stateVersion":0,"timestamp":1700000000000},"lmqOffsetTable":{"%LMQ%a@%LMQ%g":3},"offsetTable":{"fuzz-a@group-a":{0:12,1:7}}}',
  'brokerPort.json': '{"listenPort":0}',
  'brokerSettings.json':
    '{"changes":{"brokerPermission":{"value":4,"over":6},"autoCreateTopicEnable":{"value":false,"over":true}}}',
  'topicQueueMapping.json':
    '{"dataVersion":{"counter":2,"stateVersion":0,"timestamp":1700000000000},"topicQueueMappingInfoMap":{"fuzz-a":{"bname":"broker-a",' +
    '"currIdMap":{},"dirty":false,"epoch":1700000000000,"hostedQueues":{0:[{"bname":"broker-a","endOffset":-1,"gen":0,"logicOffset":0,' +
    '"queueId":1,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}]},"scope":"__global__","topic":"fuzz-a","totalQueues":1}}}',
  'consumerOrderInfo.json':
    '{"table":{"fuzz-a@group-a":{0:{"cm":1,"i":30000,"l":1790000000000,"o":[3,1],"oc":{3:1},"ot":{4:5},"popTime":1790000000000}}}}',
  'messageRequestMode.json':
    '{"messageRequestModeMap":{"fuzz-a":{"group-a":{"consumerGroup":"group-a","mode":"POP","popShareQueueNum":1,"topic":"fuzz-a"}}}}',
  'followOffset.json':
    '{"places":{"pop-offsets":{"queueOffset":0},"timer":{"queueOffset":3,"lastQueueOffset":2,"lastLogOffset":500}}}',
  'kvConfig.json': '{"configTable":{"ORDER_TOPIC_CONFIG":{"fuzz-a":"broker-a:4"}}}',
};

function damaged(random: Random, sound: string): Buffer {
  if (random.chance(0.35)) return Buffer.from(someJson(random, NAMES));
  if (random.chance(0.3)) {
    // A value of another kind in its place.
    return Buffer.from(
      sound.replace(/(\d+|true|false|"[^"]*")(?=[,}])/g, (value) =>
        random.chance(0.15) ? someJson(random, NAMES, 3) : value,
      ),
    );
  }
  return mutate(random, Buffer.from(sound));
}

const parses = (bytes: Buffer): boolean => {
  try {
    parseJavaJson(bytes.toString('utf8'));
    return bytes.length > 0;
  } catch {
    return false;
  }
};

export const metadata: Target = {
  name: 'metadata',
  sessionRounds: 500,
  async open(directory) {
    const config = join(directory, 'config');
    mkdirSync(config, { recursive: true });
    // One store for all rounds: what is started here again and again is what reads the files beside it.
    const store = await MessageStore.open({
      storePathRootDir: directory,
      flushDiskType: 'ASYNC_FLUSH',
      enableLmq: true,
      enableMultiDispatch: true,
      mappedFileSizeCommitLog: 1024 * 1024,
      maxMessageSize: 64 * 1024,
      maxHashSlotNum: 100,
      maxIndexNum: 400,
      diskFreeBytesMin: 0,
    });
    const kept = new Proxy(store, {
      get: (target, name) => {
        if (name === 'shutdown') return async () => {};
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const client = new RemotingClient();

    async function startOnce(what: string): Promise<unknown> {
      const broker = new Broker(
        { listenPort: 0, flushConsumerOffsetInterval: 60_000 },
        { store: { storePathRootDir: directory }, openMessageStore: async () => kept },
      );
      try {
        await within(20_000, `${what}: start`, broker.start());
      } catch (error) {
        if (error instanceof Find) throw error;
        expectOwnError(error, what, /_METADATA_DAMAGED$/);
        return error;
      }
      for (const code of TABLE_REQUESTS) {
        const answer = await client.invoke(broker.address, createRequest(code), 20_000);
        if (answer.code !== ResponseCode.SUCCESS)
          throw new Find(`${what}: request ${code} is answered ${answer.code} ${answer.remark}`);
        parseJavaJson((answer.body ?? Buffer.alloc(0)).toString('utf8'));
      }
      await within(20_000, `${what}: shutdown`, broker.shutdown());
      return undefined;
    }

    return {
      async round(random) {
        // Emptied and not made anew: the store that is open has the directory locked.
        mkdirSync(config, { recursive: true });
        for (const left of readdirSync(config)) rmSync(join(config, left), { recursive: true });
        const name = random.pick([...FILES, 'kvConfig.json'] as const);
        for (const file of FILES) if (file !== 'brokerPort.json') writeFileSync(join(config, file), SOUND[file]);
        // It is read when there is no other.
        if (name === 'consumerOffset.json') rmSync(join(config, 'lmqConsumerOffset.json'));
        const bytes = damaged(random, SOUND[name]);
        writeFileSync(join(config, name), bytes);
        const hasCopy = random.chance(0.4);
        if (hasCopy)
          writeFileSync(join(config, `${name}.bak`), random.chance(0.8) ? SOUND[name] : mutate(random, bytes));
        const copyIsSound = hasCopy && readFileSync(join(config, `${name}.bak`), 'utf8') === SOUND[name];
        const what = `${name} ${JSON.stringify(bytes.toString('latin1').slice(0, 2_000))}`;
        if (name === 'kvConfig.json') {
          const kv = new KVConfigManager(config);
          try {
            await kv.load();
            for (const namespace of ['ORDER_TOPIC_CONFIG', 'x'])
              for (const [key, value] of kv.list(namespace) ?? []) {
                if (typeof key !== 'string' || typeof value !== 'string') throw new Find(`${what}: ${key} is ${value}`);
              }
            await kv.put('x', 'y', 'z');
            const again = new KVConfigManager(config);
            await again.load();
            if (again.get('x', 'y') !== 'z') throw new Find(`${what}: what was put is gone`);
          } catch (error) {
            if (error instanceof Find) throw error;
            expectOwnError(error, what, /_METADATA_DAMAGED$/);
            if (copyIsSound && !parses(bytes)) throw new Find(`${what}: refused although the previous copy is sound`);
          }
          return;
        }
        const before = snapshot(config);
        const refused = await startOnce(what);
        if (refused !== undefined) {
          if (copyIsSound && !parses(bytes))
            throw new Find(`${what}: refused although the previous copy is sound: ${refused}`);
          if (snapshot(config) !== before) throw new Find(`${what}: a refused start changed the files`);
          return;
        }
        const second = await startOnce(`after a start on ${what}`);
        if (second !== undefined) throw new Find(`${what}: the first start works and the second does not: ${second}`);
      },
      async close() {
        await client.close();
        await within(20_000, 'the store shuts down', store.shutdown());
        if (existsSync(join(directory, 'abort'))) throw new Find('the store left its abort file');
      },
    };
  },
};

function snapshot(config: string): string {
  return [...FILES]
    .flatMap((name) => [name, `${name}.bak`])
    .map((name) => (existsSync(join(config, name)) ? readFileSync(join(config, name), 'latin1') : '-'))
    .join('\u0000');
}
