import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateSync } from 'node:zlib';
import {
  decodeConsumerConnection,
  decodeProducerConnection,
  encodeConsumerConnection,
  encodeProducerConnection,
} from '../../src/protocol/connections.ts';
import { nextDataVersion, sameDataVersion } from '../../src/protocol/data-version.ts';
import {
  decodeHeartbeatData,
  encodeHeartbeatData,
  javaHashCode,
  tagSubscription,
} from '../../src/protocol/heartbeat.ts';
import {
  decodeLockBatchRequest,
  decodeLockBatchResponse,
  encodeLockBatchRequest,
  encodeLockBatchResponse,
} from '../../src/protocol/lock-batch.ts';
import { bodyCrc32, decodeRegisterBrokerBody, encodeRegisterBrokerBody } from '../../src/protocol/register-broker.ts';
import {
  decodeClusterInfo,
  decodeTopicRouteData,
  encodeBrokerMemberGroup,
  encodeClusterInfo,
  encodeTopicRouteData,
  selectBrokerAddr,
} from '../../src/protocol/route.ts';
import {
  decodeConsumeStats,
  decodeTopicStatsTable,
  encodeConsumeStats,
  encodeTopicStatsTable,
} from '../../src/protocol/stats.ts';
import {
  decodeConsumerList,
  decodeKVTable,
  decodeTopicList,
  encodeConsumerList,
  encodeKVTable,
  encodeTopicList,
} from '../../src/protocol/tables.ts';
import {
  createTopicConfig,
  decodeTopicConfigTable,
  decodeTopicConfigText,
  encodeTopicConfigTable,
  encodeTopicConfigText,
} from '../../src/protocol/topic-config.ts';
import { golden } from '../support/golden.ts';

const invalid = { code: 'REMOTING_BODY_INVALID' };

describe('TopicRouteData', () => {
  it('reads what Java writes, bare broker ids included', () => {
    const route = decodeTopicRouteData(Buffer.from(golden.route55));
    assert.deepEqual(
      route.brokerDatas[0]?.brokerAddrs,
      new Map([
        [0, '1.2.3.4:1'],
        [1, 'x:2'],
      ]),
    );
    assert.deepEqual(route.queueDatas, [
      { brokerName: 'b', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 8 },
    ]);
    assert.equal(route.orderTopicConf, undefined);
  });

  it('writes broker ids bare or quoted, and reads both back', () => {
    const route = decodeTopicRouteData(Buffer.from(golden.route55));
    assert.equal(encodeTopicRouteData(route, 'bare').toString(), golden.route55);
    const quoted = encodeTopicRouteData({ ...route, orderTopicConf: 'b:4' });
    assert.ok(JSON.parse(quoted.toString()));
    assert.deepEqual(decodeTopicRouteData(quoted), { ...route, orderTopicConf: 'b:4' });
  });

  it('refuses members of a wrong type', () => {
    for (const text of [
      '{"queueDatas":{}}',
      '{"brokerDatas":[{"brokerName":[5]}]}',
      '[]',
      '{"queueDatas":[{"perm":"x"}]}',
      '',
    ]) {
      assert.throws(() => decodeTopicRouteData(Buffer.from(text)), invalid, text);
    }
  });

  it('prefers the master', () => {
    const broker = { cluster: 'c', brokerName: 'b', enableActingMaster: false };
    assert.equal(
      selectBrokerAddr({
        ...broker,
        brokerAddrs: new Map([
          [2, 'two'],
          [0, 'zero'],
        ]),
      }),
      'zero',
    );
    assert.equal(selectBrokerAddr({ ...broker, brokerAddrs: new Map([[2, 'two']]) }), 'two');
    assert.equal(selectBrokerAddr({ ...broker, brokerAddrs: new Map() }), undefined);
  });
});

describe('ClusterInfo and BrokerMemberGroup', () => {
  it('what is written is read', () => {
    const broker = {
      cluster: 'c',
      brokerName: 'b',
      brokerAddrs: new Map([[0, 'h:1']]),
      enableActingMaster: true,
      zoneName: 'z',
    };
    const info = { brokerAddrTable: new Map([['b', broker]]), clusterAddrTable: new Map([['c', ['b']]]) };
    assert.deepEqual(decodeClusterInfo(encodeClusterInfo(info)), info);
    assert.deepEqual(decodeClusterInfo(encodeClusterInfo(info, 'bare')), info);
    const group = JSON.parse(encodeBrokerMemberGroup(broker).toString());
    assert.deepEqual(group, { brokerMemberGroup: { brokerAddrs: { 0: 'h:1' }, brokerName: 'b', cluster: 'c' } });
  });
});

describe('RegisterBrokerBody', () => {
  it('reads what brokers of 4.9 and 5.5 compress', async () => {
    const old = await decodeRegisterBrokerBody(Buffer.from(golden.registerCompressed49, 'base64'), true);
    assert.deepEqual([...old.topicConfig.topicConfigTable.keys()].sort(), ['TopicA', 'TopicB']);
    assert.deepEqual(
      old.topicConfig.topicConfigTable.get('TopicB'),
      createTopicConfig('TopicB', { readQueueNums: 8, writeQueueNums: 8 }),
    );
    assert.equal(old.topicConfig.dataVersion.stateVersion, 0);
    assert.ok(old.topicConfig.dataVersion.timestamp > 1_700_000_000_000);
    const current = await decodeRegisterBrokerBody(Buffer.from(golden.registerCompressed55, 'base64'), true);
    assert.deepEqual(
      current.topicConfig.topicConfigTable.get('TopicA')?.attributes,
      new Map([['+message.type', 'NORMAL']]),
    );
    assert.equal(current.topicQueueMappingInfo.size, 0);
  });

  it('reads a compressed body that is announced as uncompressed, as brokers of 5.x send it', async () => {
    const body = await decodeRegisterBrokerBody(Buffer.from(golden.registerCompressed55, 'base64'), false);
    assert.equal(body.topicConfig.topicConfigTable.size, 2);
  });

  it('reads what a broker of 5.5 sends uncompressed', async () => {
    const body = await decodeRegisterBrokerBody(Buffer.from(golden.registerJson55), false);
    assert.equal(body.topicConfig.dataVersion.timestamp, 1795345272865);
    assert.equal(body.topicConfig.topicConfigTable.get('TopicB')?.readQueueNums, 8);
  });

  it('what is written is read, both ways', async () => {
    const body = {
      topicConfig: {
        dataVersion: { stateVersion: 3, timestamp: 4, counter: 5 },
        topicConfigTable: new Map([
          [
            'A',
            createTopicConfig('A', {
              attributes: new Map([
                ['+message.type', 'FIFO'],
                ['k y', 'v w'],
              ]),
            }),
          ],
          ['B', createTopicConfig('B', { perm: 7, topicFilterType: 'MULTI_TAG' })],
        ]),
      },
      filterServerList: ['f:1'],
      topicQueueMappingInfo: new Map<string, unknown>([['S', { topic: 'S', bname: 'b' }]]),
    };
    assert.deepEqual(await decodeRegisterBrokerBody(encodeRegisterBrokerBody(body), false), body);
    assert.deepEqual(await decodeRegisterBrokerBody(encodeRegisterBrokerBody(body, true), true), body);
  });

  it('refuses a body that is cut, no zlib stream, or unpacks without end', async () => {
    const whole = Buffer.from(golden.registerCompressed55, 'base64');
    await assert.rejects(async () => decodeRegisterBrokerBody(whole.subarray(0, 30), true), invalid);
    await assert.rejects(async () => decodeRegisterBrokerBody(Buffer.from('nonsense'), true), invalid);
    await assert.rejects(async () => decodeRegisterBrokerBody(undefined, true), invalid);
    await assert.rejects(
      async () => decodeRegisterBrokerBody(deflateSync(Buffer.from([0, 0, 0, 9, 1])), true),
      invalid,
    );
    const bomb = deflateSync(Buffer.alloc(17 * 1024 * 1024));
    await assert.rejects(async () => decodeRegisterBrokerBody(bomb, true), invalid);
  });

  it('has a CRC that is never negative', () => {
    assert.equal(bodyCrc32(Buffer.from('123456789')), 0xcbf43926 & 0x7fffffff);
  });
});

describe('topics', () => {
  it('text form has attributes only when there are any', () => {
    const topic = createTopicConfig('T', { readQueueNums: 4 });
    assert.equal(encodeTopicConfigText(topic), 'T 4 16 6 SINGLE_TAG');
    assert.deepEqual(decodeTopicConfigText('T 4 16 6 SINGLE_TAG'), topic);
    for (const text of ['T 4 16', ' 4 16 6 SINGLE_TAG', 'T a 16 6 SINGLE_TAG'])
      assert.throws(() => decodeTopicConfigText(text), invalid);
  });

  it('table: what is written is read', () => {
    const table = {
      dataVersion: { stateVersion: 0, timestamp: 9, counter: 2 },
      topicConfigTable: new Map([['T', createTopicConfig('T', { order: true, topicSysFlag: 1 })]]),
    };
    assert.deepEqual(decodeTopicConfigTable(encodeTopicConfigTable(table)), table);
  });

  it('data versions are the same only when all three members are', () => {
    const version = { stateVersion: 1, timestamp: 2, counter: 3 };
    assert.ok(sameDataVersion(version, { ...version }));
    for (const name of ['stateVersion', 'timestamp', 'counter'])
      assert.ok(!sameDataVersion(version, { ...version, [name]: 9 }));
    assert.deepEqual(nextDataVersion(version, 50), { stateVersion: 1, timestamp: 50, counter: 4 });
  });
});

describe('HeartbeatData', () => {
  it('reads and writes what Java writes', () => {
    const heartbeat = decodeHeartbeatData(Buffer.from(golden.heartbeat));
    assert.equal(heartbeat.clientID, '1.2.3.4@1');
    assert.deepEqual(heartbeat.producerGroups, ['pg']);
    assert.equal(heartbeat.withoutSub, true);
    assert.deepEqual(heartbeat.consumers[0]?.subscriptionDataSet, [
      tagSubscription('T', 'TagA || TagB', 1_700_000_000_000),
    ]);
    assert.equal(encodeHeartbeatData(heartbeat).toString(), golden.heartbeat);
  });

  it('a subscription version of the Go client, in nanoseconds and beyond 2^53, is taken to the nearest number', () => {
    const subscription = '{"topic":"T","subString":"*","tagsSet":[],"codeSet":[],"subVersion":1795349955931376122}';
    const consumer = `{"groupName":"g","subscriptionDataSet":[${subscription}]}`;
    const heartbeat = decodeHeartbeatData(Buffer.from(`{"clientID":"c","consumerDataSet":[${consumer}]}`));
    const [found] = heartbeat.consumers[0]!.subscriptionDataSet;
    // As a pull request brings it, in text: the two must compare as equal.
    assert.equal(found!.subVersion, Number('1795349955931376122'));
  });

  it('tags hash as Java strings do', () => {
    assert.equal(javaHashCode('TagA'), 2598919);
    assert.equal(javaHashCode(''), 0);
    assert.equal(javaHashCode('polygenelubricants'), -2147483648);
    assert.deepEqual(tagSubscription('T', '', 1).tagsSet, []);
    assert.equal(tagSubscription('T', ' ', 1).subString, '*');
    assert.deepEqual(tagSubscription('T', 'a||b || a||', 1).tagsSet, ['a', 'b']);
  });
});

describe('tables keyed by queue', () => {
  const queue = { topic: 't', brokerName: 'b', queueId: 3 };

  it('reads and writes what Java writes, the queue as a bare object key', () => {
    const stats = decodeTopicStatsTable(Buffer.from(golden.topicStats55));
    assert.deepEqual(stats, {
      topicPutTps: 0,
      offsetTable: [[queue, { minOffset: 1, maxOffset: 2, lastUpdateTimestamp: 0 }]],
    });
    const text = encodeTopicStatsTable(stats).toString();
    assert.match(text, /"offsetTable":\{\{"brokerName":"b","queueId":3,"topic":"t"\}:\{/);
    assert.deepEqual(decodeTopicStatsTable(Buffer.from(text)), stats);
  });

  it('consume stats: what is written is read', () => {
    const offset = { brokerOffset: 9, consumerOffset: 4, pullOffset: 5, lastTimestamp: 6 };
    const stats = { consumeTps: 1.5, offsetTable: [[queue, offset]] as [typeof queue, typeof offset][] };
    assert.deepEqual(decodeConsumeStats(encodeConsumeStats(stats)), stats);
  });
});

describe('other bodies', () => {
  it('connections, locks, lists and tables: what is written is read', () => {
    const client = { clientId: 'c', clientAddr: 'h:1', language: 9, version: 513 };
    const consumer = {
      connectionSet: [client],
      subscriptionTable: new Map([['T', tagSubscription('T', 'a', 1)]]),
      consumeType: 'CONSUME_PASSIVELY' as const,
      messageModel: 'CLUSTERING' as const,
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    };
    assert.deepEqual(decodeConsumerConnection(encodeConsumerConnection(consumer)), consumer);
    assert.deepEqual(decodeProducerConnection(encodeProducerConnection([client])), [client]);
    const lock = {
      consumerGroup: 'g',
      clientId: 'c',
      onlyThisBroker: true,
      mqSet: [{ topic: 't', brokerName: 'b', queueId: 1 }],
    };
    assert.deepEqual(decodeLockBatchRequest(encodeLockBatchRequest(lock)), lock);
    assert.deepEqual(decodeLockBatchResponse(encodeLockBatchResponse(lock.mqSet)), lock.mqSet);
    assert.deepEqual(decodeConsumerList(encodeConsumerList(['a', 'b'])), ['a', 'b']);
    assert.deepEqual(decodeKVTable(encodeKVTable(new Map([['k', 'v']]))), new Map([['k', 'v']]));
    assert.deepEqual(decodeTopicList(encodeTopicList({ topicList: ['t'], brokerAddr: 'h:1' })), {
      topicList: ['t'],
      brokerAddr: 'h:1',
    });
  });
});
