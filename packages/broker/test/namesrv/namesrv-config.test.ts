import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@vernier/store';
import {
  blackListed,
  defaultNamesrvConfig,
  namesrvSettings,
  resolveNamesrvConfig,
} from '../../src/namesrv/namesrv-config.ts';

test('nameserver settings: a key or value that cannot be is refused by name before anything starts', () => {
  const cases: [object, RegExp][] = [
    [{ listenPort: 1 }, /listenPort=1: it is no key of the nameserver/],
    [{ constructor: 1 }, /constructor=1: it is no key/],
    [{ orderMessageEnable: 'true' }, /orderMessageEnable=true: allowed are true and false/],
    [{ scanNotActiveBrokerInterval: 99 }, /scanNotActiveBrokerInterval=99: allowed are/],
    [{ scanNotActiveBrokerInterval: 2 ** 31 }, /scanNotActiveBrokerInterval=2147483648/],
    [{ waitSecondsForService: 86_401 }, /waitSecondsForService=86401/],
    [{ waitSecondsForService: -1 }, /waitSecondsForService=-1/],
    [{ configBlackList: 'a b' }, /it holds another character/],
    [{ configBlackList: 'x'.repeat(4_097) }, /configBlackList=/],
  ];
  for (const [options, message] of cases) {
    assert.throws(
      () => resolveNamesrvConfig(options),
      { code: 'BROKER_CONFIG_INVALID', message },
      JSON.stringify(options),
    );
  }
  assert.deepEqual(resolveNamesrvConfig({ waitSecondsForService: undefined as never }), defaultNamesrvConfig);
  assert.deepEqual(resolveNamesrvConfig(), defaultNamesrvConfig);
  const edges = { scanNotActiveBrokerInterval: 100, waitSecondsForService: 86_400, configBlackList: '' };
  assert.deepEqual(resolveNamesrvConfig(edges), { ...defaultNamesrvConfig, ...edges });
});

test('nameserver settings: the black list cannot be emptied of what no request may change', () => {
  const config = { ...defaultNamesrvConfig, configBlackList: '' };
  const always = ['configBlackList', 'configStorePath', 'kvConfigPath', 'rocketmqHome', 'listenPort', 'bindAddress'];
  for (const key of always) assert.equal(blackListed(config, ['orderMessageEnable', key]), key);
  assert.equal(blackListed(config, ['orderMessageEnable', 'configblacklist']), undefined);
  assert.equal(blackListed(config, []), undefined);
  config.configBlackList = 'orderMessageEnable;enableTopicList';
  assert.equal(blackListed(config, ['enableTopicList']), 'enableTopicList');
  assert.equal(blackListed(config, ['enableTopic']), undefined);
});

test('nameserver settings: what is shown beside its own keys can be sent back and is not changed', () => {
  const config = { ...defaultNamesrvConfig };
  const changed: (readonly string[])[] = [];
  const settings = namesrvSettings({
    ...{ config, logger: silentLogger, changed: (keys) => void changed.push(keys) },
    shown: () => ({ listenPort: 9_876 }),
  });
  assert.match(settings.text(), /^listenPort=9876$/m);
  const outcome = settings.change(
    new Map([
      ['listenPort', '1'],
      ['orderMessageEnable', 'true'],
    ]),
  );
  assert.deepEqual(outcome.changed, ['orderMessageEnable']);
  assert.match(outcome.unknown ?? '', /listenPort/);
  assert.deepEqual(changed, [['orderMessageEnable']]);
  assert.deepEqual(config, { ...defaultNamesrvConfig, orderMessageEnable: true });
  const again = { ...defaultNamesrvConfig };
  const loaded = namesrvSettings({ config: again, logger: silentLogger, changed: () => {}, shown: () => ({}) });
  loaded.load(JSON.parse([...settings.encode()].join('')));
  assert.deepEqual(again, config);
});
