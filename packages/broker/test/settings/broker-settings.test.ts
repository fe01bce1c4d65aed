import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeProperties, RequestCode, ResponseCode } from '@vernier/remoting';
import type { MessageStoreConfig, StoreLogger } from '@vernier/store';
import { changedConfig, resolveConfig } from '@vernier/store/internal';
import { type BrokerConfig, resolveBrokerConfig } from '../../src/config.ts';
import { brokerSettings } from '../../src/settings/broker-settings.ts';
import type { RunningSettings } from '../../src/settings/running-settings.ts';
import { startBroker } from '../harness.ts';

interface Situation {
  config: BrokerConfig;
  store: MessageStoreConfig;
  settings: RunningSettings;
  lines: string[];
  changed: string[][];
}

function open(broker: Partial<BrokerConfig> = {}, store: Partial<MessageStoreConfig> = {}): Situation {
  const config = resolveBrokerConfig(broker);
  const storeConfig = resolveConfig({ storePathRootDir: '/data', ...store });
  const lines: string[] = [];
  const changed: string[][] = [];
  const log = (_details: object, message: string): void => {
    lines.push(message);
  };
  const settings = brokerSettings({
    config,
    store: {
      config: storeConfig,
      changeConfig: (changes) => {
        Object.assign(storeConfig, changedConfig(storeConfig, changes));
      },
    },
    logger: { debug: log, info: log, warn: log, error: log } as StoreLogger,
    changed: (keys) => {
      changed.push([...keys]);
    },
  });
  return { config, store: storeConfig, settings, lines, changed };
}

const change = ({ settings }: Situation, properties: Record<string, string>) =>
  settings.change(new Map(Object.entries(properties)));
const fileOf = ({ settings }: Situation): unknown => JSON.parse([...settings.encode()].join(''));

test('settings: keys of broker and store change together, at their next use', () => {
  const open1 = open();
  const outcome = change(open1, { fileReservedTime: ' 48 ', brokerPermission: '4', longPollingEnable: 'FALSE' });
  assert.deepEqual(outcome, {
    changed: ['fileReservedTime', 'brokerPermission', 'longPollingEnable'],
    unknown: undefined,
  });
  assert.equal(open1.store.fileReservedTime, 48);
  assert.equal(open1.config.brokerPermission, 4);
  assert.equal(open1.config.longPollingEnable, false);
  assert.deepEqual(open1.changed, [['fileReservedTime', 'brokerPermission', 'longPollingEnable']]);
});

test('settings: one value that is not allowed keeps all the others from being changed', () => {
  const cases: [Record<string, string>, string, RegExp][] = [
    [{ fileReservedTime: '0' }, 'value-not-allowed', /fileReservedTime=0: allowed are whole numbers from 1 to 1000000/],
    [{ deleteWhen: '25' }, 'value-not-allowed', /deleteWhen=25: allowed is hours/],
    [{ deleteWhen: '04,16' }, 'value-not-allowed', /deleteWhen=04,16/],
    [{ shortPollingTimeMills: '2147483648' }, 'value-not-allowed', /shortPollingTimeMills=2147483648/],
    [{ heldPullRequestsMax: 'NaN' }, 'value-not-allowed', /heldPullRequestsMax=NaN/],
    [{ diskMaxUsedSpaceRatio: '7.5' }, 'value-not-allowed', /diskMaxUsedSpaceRatio=7.5/],
    [{ brokerIP1: 'http://x' }, 'value-not-allowed', /brokerIP1=http:\/\/x: allowed is a host name/],
    [{ defaultTopicQueueNums: '0' }, 'value-not-allowed', /defaultTopicQueueNums=0/],
    [{ flushDiskType: 'ASYNC_FLUSH' }, 'needs-restart', /flushDiskType can only be set at start/],
    [{ brokerName: 'other', storePathRootDir: '/x' }, 'needs-restart', /brokerName, storePathRootDir can only/],
    [{ brokerRole: 'SLAVE' }, 'value-not-allowed', /brokerRole=SLAVE/],
  ];
  for (const [properties, refusal, reason] of cases) {
    const opened = open();
    const outcome = change(opened, { brokerPermission: '2', ...properties });
    assert.equal(outcome.refusal, refusal, JSON.stringify(properties));
    assert.match(outcome.reason, reason);
    assert.match(outcome.reason, /; nothing was changed$/);
    assert.equal(opened.config.brokerPermission, 6);
    assert.deepEqual(opened.changed, []);
  }
});

test('settings: a key that is not known is named and left out beside others, and refused alone', () => {
  const opened = open();
  const names = { constructor: 'x', 'a\nb': '1', flushdisktype: 'x' };
  const beside = change(opened, { ...names, brokerPermission: '4' });
  assert.deepEqual(beside, {
    changed: ['brokerPermission'],
    unknown: 'there is no such key here: constructor, a\\u000ab, flushdisktype',
  });
  assert.equal(change(opened, names).refusal, 'unknown-key');
  assert.equal(change(opened, {}).refusal, 'nothing-to-change');
});

test('settings: what was answered can be sent back, and changes nothing that needs a restart', () => {
  const opened = open();
  const properties = decodeProperties(opened.settings.text());
  assert.equal(properties.get('brokerRole'), 'ASYNC_MASTER');
  assert.deepEqual([...properties.keys()], [...properties.keys()].sort());
  const outcome = opened.settings.change(properties);
  assert.equal(outcome.refusal, undefined);
  assert.deepEqual(fileOf(opened), { changes: {} });
});

test('settings: a change goes before what the next start has, as long as that is what it was', () => {
  const before = open({ brokerPermission: 6 });
  change(before, { brokerPermission: '4', fileReservedTime: '24', deleteWhen: '' });
  const after = open({ brokerPermission: 6 });
  after.settings.load(fileOf(before));
  assert.equal(after.config.brokerPermission, 4);
  assert.equal(after.store.fileReservedTime, 24);
  assert.equal(after.store.deleteWhen, '');
  assert.match(after.lines.join('\n'), /brokerPermission=4, set while it ran, goes before brokerPermission=6/);
  assert.deepEqual(fileOf(after), fileOf(before), 'and it goes on to do so');
});

test('settings: a start with another value goes before a change of old, and says so', () => {
  const before = open();
  change(before, { brokerPermission: '4', fileReservedTime: '24' });
  const after = open({ brokerPermission: 2 });
  after.settings.load(fileOf(before));
  assert.equal(after.config.brokerPermission, 2);
  assert.equal(after.store.fileReservedTime, 24);
  assert.match(after.lines.join('\n'), /brokerPermission=4, set while it ran, gives way to brokerPermission=2/);
  assert.deepEqual(Object.keys((fileOf(after) as { changes: object }).changes), ['fileReservedTime']);
});

test('settings: a change back to what the start had is none', () => {
  const opened = open();
  change(opened, { brokerPermission: '4' });
  change(opened, { brokerPermission: '2' });
  assert.deepEqual(fileOf(opened), { changes: { brokerPermission: { value: 2, over: 6 } } });
  change(opened, { brokerPermission: '6' });
  assert.deepEqual(fileOf(opened), { changes: {} });
});

test('settings: a file with keys and values that are none is used for the rest', () => {
  const opened = open();
  opened.settings.load({
    changes: {
      brokerPermission: { value: 4, over: 6 },
      fileReservedTime: { value: 0, over: 72 },
      flushDiskType: { value: 'ASYNC_FLUSH', over: 'SYNC_FLUSH' },
      __proto__x: { value: 1, over: 1 },
      deleteWhen: null,
    },
  });
  assert.equal(opened.config.brokerPermission, 4);
  assert.equal(opened.store.fileReservedTime, 72);
  assert.equal(opened.store.flushDiskType, 'SYNC_FLUSH');
  assert.equal(opened.lines.filter((line) => line.includes('is not used here')).length, 4);
});

test('settings: a broker answers when the change is on disk, and the next one begins with it', async (t) => {
  const first = await startBroker(t);
  const answer = await first.invoke(
    RequestCode.UPDATE_BROKER_CONFIG,
    undefined,
    'flushIntervalCommitLog=50\nbrokerPermission=4\nunknown=1',
  );
  assert.equal(answer.code, ResponseCode.SUCCESS);
  const path = join(first.directory, 'config', 'brokerSettings.json');
  assert.equal(JSON.parse(await readFile(path, 'utf8')).changes.brokerPermission.value, 4);
  assert.equal(first.broker.store.config.flushIntervalCommitLog, 50);
  const config = String((await first.invoke(RequestCode.GET_BROKER_CONFIG)).body);
  await first.broker.shutdown();

  const second = await startBroker(t, { directory: first.directory });
  const again = String((await second.invoke(RequestCode.GET_BROKER_CONFIG)).body);
  assert.equal(again.replace(/^listenPort=.*$/m, ''), config.replace(/^listenPort=.*$/m, ''));
  assert.equal(second.broker.config.brokerPermission, 4);
  await second.broker.shutdown();

  await writeFile(path, '[');
  await writeFile(`${path}.bak`, '[');
  await assert.rejects(startBroker(t, { directory: first.directory }), { code: 'STORE_METADATA_DAMAGED' });
});

test('settings: a request with a hundred thousand keys gets a short answer', () => {
  const opened = open();
  const names = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`key${i}`, 'x']));
  const alone = change(opened, names);
  assert.ok(alone.refusal === 'unknown-key' && alone.reason.length < 500 && alone.reason.includes('and 99980 more'));
  const beside = change(opened, { ...names, brokerPermission: '4' });
  assert.ok(beside.refusal === undefined && beside.unknown !== undefined && beside.unknown.length < 500);
});
