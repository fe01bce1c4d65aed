import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateSync } from 'node:zlib';
import { RemotingError } from '../../src/errors.ts';
import { decodeConsumerConnection, decodeProducerConnection } from '../../src/protocol/connections.ts';
import { dataVersionFromJson } from '../../src/protocol/data-version.ts';
import { decodeHeartbeatData, subscriptionDataFromJson } from '../../src/protocol/heartbeat.ts';
import { bodyObject, choiceMember, countMember } from '../../src/protocol/json-members.ts';
import { decodeLockBatchRequest, decodeLockBatchResponse } from '../../src/protocol/lock-batch.ts';
import { decodeRegisterBrokerBody } from '../../src/protocol/register-broker.ts';
import { decodeClusterInfo, decodeTopicRouteData } from '../../src/protocol/route.ts';
import { decodeConsumeStats, decodeTopicStatsTable } from '../../src/protocol/stats.ts';
import { decodeConsumerList, decodeKVTable, decodeTopicList } from '../../src/protocol/tables.ts';
import { decodeTopicConfigTable } from '../../src/protocol/topic-config.ts';
import { golden } from '../support/golden.ts';
import { eachMemberAs, hostileValues } from '../support/hostile.ts';

const queue = { brokerName: 'b', queueId: 0, topic: 't' };
const table = { '{"brokerName":"b","queueId":3,"topic":"t"}': { lastUpdateTimestamp: 0, maxOffset: 2, minOffset: 1 } };
const subscription = {
  classFilterMode: false,
  codeSet: [1],
  expressionType: 'TAG',
  subString: 'A',
  subVersion: 1,
  tagsSet: ['A'],
  topic: 'T',
};
const clients = [{ clientAddr: 'h:1', clientId: 'c', language: 'JAVA', version: 513, versionDesc: 'V5_5_0' }];

/** Every body that is read, with an example that is sound. */
const bodies: Record<string, [read: (body: Buffer) => unknown, sound: unknown]> = {
  heartbeat: [decodeHeartbeatData, JSON.parse(golden.heartbeat)],
  'lock request': [decodeLockBatchRequest, { clientId: 'c', consumerGroup: 'g', mqSet: [queue], onlyThisBroker: true }],
  'lock answer': [decodeLockBatchResponse, { lockOKMQSet: [queue] }],
  registration: [(body) => decodeRegisterBrokerBody(body, false), JSON.parse(golden.registerJson55)],
  route: [
    decodeTopicRouteData,
    {
      brokerDatas: [
        { brokerAddrs: { 0: 'h:1' }, brokerName: 'b', cluster: 'c', enableActingMaster: false, zoneName: 'z' },
      ],
      filterServerTable: { 'h:1': ['f:1'] },
      orderTopicConf: 'b:4',
      queueDatas: [{ brokerName: 'b', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 8 }],
      topicQueueMappingByBroker: { b: { topic: 't' } },
    },
  ],
  'cluster info': [
    decodeClusterInfo,
    {
      brokerAddrTable: { b: { brokerAddrs: { 0: 'h:1' }, brokerName: 'b', cluster: 'c' } },
      clusterAddrTable: { c: ['b'] },
    },
  ],
  'topic statistics': [decodeTopicStatsTable, { offsetTable: table, topicPutTps: 0 }],
  'consume statistics': [
    decodeConsumeStats,
    {
      consumeTps: 0.5,
      offsetTable: {
        '{"queueId":3}': { brokerOffset: 1, consumerOffset: 2, lastTimestamp: 3, pullOffset: 4 },
      },
    },
  ],
  'topic table': [
    decodeTopicConfigTable,
    (JSON.parse(golden.registerJson55) as { topicConfigSerializeWrapper: unknown }).topicConfigSerializeWrapper,
  ],
  'topic list': [decodeTopicList, { brokerAddr: 'h:1', topicList: ['t'] }],
  'KV table': [decodeKVTable, { table: { a: 'b' } }],
  'consumer list': [decodeConsumerList, { consumerIdList: ['c'] }],
  'consumer connections': [
    decodeConsumerConnection,
    {
      connectionSet: clients,
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      subscriptionTable: { T: subscription },
    },
  ],
  'producer connections': [decodeProducerConnection, { connectionSet: clients }],
  'data version': [
    (body) => dataVersionFromJson(bodyObject(body, 'DataVersion')),
    { counter: 1, stateVersion: 0, timestamp: 2 },
  ],
};

describe('bodies with hostile members', () => {
  for (const [name, [read, sound]] of Object.entries(bodies)) {
    it(`${name}: each member is of its type or the body is refused with a code`, () => {
      read(Buffer.from(JSON.stringify(sound)));
      let refused = 0;
      for (const hostile of hostileValues) {
        for (const [path, text] of eachMemberAs(sound, hostile)) {
          const where = `${path} = ${hostile.slice(0, 60)}`;
          try {
            const value = read(Buffer.from(text));
            // Mappings of static topics are passed on as they came, and nothing reads them here.
            assert.ok(path.includes('topicQueueMapping') || sameShape(value), where);
          } catch (error) {
            if (!(error instanceof RemotingError)) throw new Error(`${where}: ${(error as Error).stack}`);
            assert.match(error.code, /^REMOTING_(BODY|JSON)_INVALID$/, where);
            assert.ok(error.message.length < 400, `${where}: a message of ${error.message.length} characters`);
            refused++;
          }
        }
      }
      assert.ok(refused > hostileValues.length, `${refused} refused`);
    });
  }

  it('nothing that was read makes printing it fail', () => {
    for (const [, text] of eachMemberAs(JSON.parse(golden.registerJson55), '{"toJSON":1,"toString":1}')) {
      try {
        JSON.stringify(decodeRegisterBrokerBody(Buffer.from(text), false));
      } catch (error) {
        assert.ok(error instanceof RemotingError, String(error));
      }
    }
  });
});

/** Numbers are numbers that exist; nothing below is a Map or an object that cannot be walked. */
function sameShape(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (value instanceof Map) return [...value.values()].every(sameShape);
  if (typeof value !== 'object' || value === null) return true;
  JSON.stringify(value);
  return Object.values(value).every(sameShape);
}

describe('json members', () => {
  it('a body is refused by its length before it is parsed', () => {
    const long = Buffer.from(`{"a":"${'x'.repeat(4 * 1024 * 1024)}"}`);
    assert.throws(() => bodyObject(long, 'thing'), { code: 'REMOTING_BODY_INVALID', message: /exceeds 4194304/ });
    assert.throws(() => bodyObject(Buffer.from('{}'), 'thing', 1), { code: 'REMOTING_BODY_INVALID' });
    assert.deepEqual(bodyObject(Buffer.from('{"a":1}'), 'thing', 7), { a: 1 });
  });

  it('counts have bounds and choices are of the list', () => {
    assert.equal(countMember({ a: '3' }, 'a', 3), 3);
    for (const a of [4, -1, 1.5, '4', [], {}, Number.NaN]) {
      assert.throws(() => countMember({ a }, 'a', 3), { code: 'REMOTING_BODY_INVALID' });
    }
    assert.equal(choiceMember({ a: 'y' }, 'a', ['x', 'y'], 'x'), 'y');
    assert.equal(choiceMember({}, 'a', ['x', 'y'], 'x'), 'x');
    for (const a of ['z', 1, {}, ['x']]) {
      assert.throws(() => choiceMember({ a }, 'a', ['x', 'y'], 'x'), { code: 'REMOTING_BODY_INVALID' });
    }
  });

  it('plain values are taken in the form that other languages write, and not what only looks like one', () => {
    // rocketmq-client-go writes hashes of tags as texts; fastjson takes them.
    const go = {
      ...subscription,
      codeSet: ['2598919', '-1'],
      classFilterMode: 'false',
      subVersion: '17',
      tagsSet: [7],
    };
    const read = subscriptionDataFromJson(go);
    assert.deepEqual(read, {
      ...subscription,
      ...{ codeSet: [2_598_919, -1], classFilterMode: false, subVersion: 17, tagsSet: ['7'] },
    });
    for (const hostile of [
      { codeSet: ['0x10'] },
      { codeSet: ['2147483648'] },
      { codeSet: [''] },
      { codeSet: ['1e3'] },
      { codeSet: [true] },
      { classFilterMode: 'yes' },
      { classFilterMode: 2 },
      { subVersion: '1.5' },
      { tagsSet: [{}] },
      { topic: [] },
      { subString: 1.5 },
    ]) {
      assert.throws(() => subscriptionDataFromJson({ ...subscription, ...hostile }), { code: 'REMOTING_BODY_INVALID' });
    }
  });

  it('a compressed registration is refused when it unpacks to more than a frame may have', async () => {
    const bomb = deflateSync(Buffer.alloc(16 * 1024 * 1024 + 1));
    await assert.rejects(async () => decodeRegisterBrokerBody(bomb, true), { code: 'REMOTING_BODY_INVALID' });
  });
});
