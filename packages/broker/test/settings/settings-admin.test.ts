import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCode } from '@vernier/remoting';
import { silentLogger } from '@vernier/store';
import { Refusal } from '../../src/base/refusal.ts';
import { defaultNamesrvConfig, namesrvSettings } from '../../src/namesrv/namesrv-config.ts';
import { SettingsAdmin } from '../../src/settings/settings-admin.ts';

function open() {
  const config = { ...defaultNamesrvConfig };
  const state = { saves: 0, fails: false, lines: [] as object[] };
  const settings = namesrvSettings({ config, logger: silentLogger, shown: () => ({}), changed: () => {} });
  const file = {
    save: async () => {
      if (state.fails) throw new Error('no space left');
      state.saves++;
    },
  };
  const logger = { ...silentLogger, warn: (fields: object) => void state.lines.push(fields) };
  const admin = new SettingsAdmin(settings, file, logger);
  return {
    config,
    state,
    admin,
    change: (text: Record<string, string>) => admin.change(new Map(Object.entries(text))),
  };
}

test('settings admin: each refusal has its code, and none is saved, logged or counted', async () => {
  const { config, state, admin, change } = open();
  const cases: [Record<string, string>, number][] = [
    [{}, ResponseCode.SYSTEM_ERROR],
    [{ none: '1' }, ResponseCode.NO_PERMISSION],
    [{ configBlackList: 'x' }, ResponseCode.NO_PERMISSION],
    [{ orderMessageEnable: 'perhaps' }, ResponseCode.INVALID_PARAMETER],
    [{ orderMessageEnable: 'true', waitSecondsForService: '-1' }, ResponseCode.INVALID_PARAMETER],
  ];
  for (const [properties, code] of cases) {
    const outcome = await change(properties);
    assert.ok(outcome instanceof Refusal, JSON.stringify(properties));
    assert.equal(outcome.code, code, outcome.remark);
    assert.match(outcome.remark, /nothing was changed$/);
  }
  assert.deepEqual(config, defaultNamesrvConfig);
  assert.deepEqual([state.saves, state.lines, admin.changeCount], [0, [], 0]);
});

test('settings admin: a change is on disk before it is answered; a disk that refuses is told', async () => {
  const { state, admin, change } = open();
  assert.equal(await change({ orderMessageEnable: 'true' }), undefined);
  assert.deepEqual([state.saves, admin.changeCount], [1, 1]);
  assert.equal(await change({ orderMessageEnable: 'false', none: '1' }), 'there is no such key here: none');
  state.fails = true;
  await assert.rejects(change({ orderMessageEnable: 'true' }), /no space left/);
  assert.equal(state.saves, 2);
});
