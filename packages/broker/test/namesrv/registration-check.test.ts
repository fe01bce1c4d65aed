import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTopicConfig } from '@vernier/remoting';
import { checkRegistration, LeftOut, topicFault } from '../../src/namesrv/registration-check.ts';
import type { BrokerRegistration } from '../../src/namesrv/route-info-manager.ts';

const registration = (more: Partial<BrokerRegistration> = {}): BrokerRegistration => ({
  ...{ clusterName: 'C', brokerName: 'b', brokerId: 0, brokerAddr: '10.0.0.1:10911', haServerAddr: '' },
  topicConfig: { dataVersion: { stateVersion: 0, timestamp: 1, counter: 1 }, topicConfigTable: new Map() },
  ...more,
});

test('registration check: names and addresses at the edge of what is taken', () => {
  const longest = `${'h'.repeat(255)}:65535`;
  const good: Partial<BrokerRegistration>[] = [
    { clusterName: 'x'.repeat(255), brokerName: 'ü'.repeat(127), zoneName: ' ' },
    { brokerAddr: longest, haServerAddr: longest },
    { brokerAddr: '[::1]:1' },
    { brokerId: Number.MAX_SAFE_INTEGER, heartbeatTimeoutMs: 0 },
  ];
  for (const more of good) assert.equal(checkRegistration(registration(more)).fault, undefined, JSON.stringify(more));
  const bad: [Partial<BrokerRegistration>, RegExp][] = [
    [{ clusterName: 'x'.repeat(256) }, /the cluster has 256 bytes/],
    [{ brokerName: 'ü'.repeat(128) }, /the broker has 256 bytes/],
    [{ brokerName: '\u007f' }, /control character at 0/],
    [{ clusterName: 'a\tb' }, /the cluster has a control character at 1/],
    [{ brokerAddr: '' }, /brokerAddr is '', which is no host:port/],
    [{ brokerAddr: '10.0.0.1:0' }, /no host:port/],
    [{ brokerAddr: '10.0.0.1:65536' }, /no host:port/],
    [{ brokerAddr: ':1' }, /no host:port/],
    [{ brokerAddr: `h${longest}` }, /brokerAddr is|brokerAddr has 262 bytes/],
    [{ haServerAddr: ' ' }, /haServerAddr is ' '/],
  ];
  for (const [more, fault] of bad) assert.match(checkRegistration(registration(more)).fault ?? '', fault);
});

test('registration check: what is taken is a copy; the sent registration stays as it was', () => {
  const topicConfigTable = new Map([
    ['Good', createTopicConfig('Good')],
    ['Bad', createTopicConfig('Bad', { perm: 16 })],
  ]);
  const { dataVersion } = registration().topicConfig;
  const filterServerList = ['x', '10.0.0.1:1'];
  const sent = registration({ topicConfig: { dataVersion, topicConfigTable }, filterServerList });
  const checked = checkRegistration(sent);
  assert.deepEqual([...(checked.registration?.topicConfig.topicConfigTable.keys() ?? [])], ['Good']);
  assert.deepEqual(checked.registration?.filterServerList, ['10.0.0.1:1']);
  assert.deepEqual([...topicConfigTable.keys()], ['Good', 'Bad']);
  assert.deepEqual(sent.filterServerList, ['x', '10.0.0.1:1']);
});

test('registration check: numbers of a topic at and beyond their ends', () => {
  const topic = { readQueueNums: 65_536, writeQueueNums: 0, perm: 15, topicSysFlag: -5 };
  assert.equal(topicFault('T', topic), undefined);
  const wrong: [object, RegExp][] = [
    [{ readQueueNums: 65_537 }, /^readQueueNums of the topic T is 65537; allowed are 0 to 65536$/],
    [{ writeQueueNums: -1 }, /^writeQueueNums of the topic T is -1/],
    [{ writeQueueNums: Number.NaN }, /is NaN/],
    [{ readQueueNums: Number.POSITIVE_INFINITY }, /is Infinity/],
    [{ perm: 16 }, /^perm of the topic T is 16; allowed are 0 to 15$/],
    [{ perm: 1.5 }, /is 1.5/],
  ];
  for (const [more, fault] of wrong) assert.match(topicFault('T', { ...topic, ...more }) ?? '', fault);
  assert.match(topicFault('', topic) ?? '', /the name of the topic is empty/);
});

test('registration check: of a hundred thousand faults one line is made', () => {
  const leftOut = new LeftOut();
  assert.equal(leftOut.text, undefined);
  for (let i = 0; i < 100_000; i++) leftOut.add(`fault ${i}`);
  assert.equal(leftOut.text, '100000 topics left out; the first: fault 0');
});
