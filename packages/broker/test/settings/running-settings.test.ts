import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProperties } from '@vernier/remoting';
import { StoreError, type StoreLogger } from '@vernier/store';
import { choice, flag, integer, type KeySpec } from '@vernier/store/internal';
import { RunningSettings } from '../../src/settings/running-settings.ts';

const CHANGEABLE = { changeable: true } as const;
const specs: Record<string, KeySpec> = {
  low: integer([0, 100], '', 10, '', CHANGEABLE),
  high: integer([0, 100], '', 20, '', CHANGEABLE),
  on: flag(true, '', CHANGEABLE),
  fixed: choice(['a', 'b'], 'a', ''),
};

function open(start: Record<string, unknown> = {}) {
  const values: Record<string, unknown> = { low: 10, high: 20, on: true, fixed: 'a', ...start };
  const lines: string[] = [];
  const changed: string[][] = [];
  const say = (_fields: object, line: string): void => void lines.push(line);
  const settings = new RunningSettings({
    fileName: 'settings.json',
    spec: (key) => (Object.hasOwn(specs, key) ? specs[key] : undefined),
    value: (key) => values[key],
    entries: () => Object.entries(values),
    apply: (changes) => {
      const after = { ...values, ...Object.fromEntries(changes) };
      if ((after.low as number) > (after.high as number))
        throw new StoreError('STORE_CONFIG_INVALID', 'low is above high');
      if (after.low === 99) throw new TypeError('a fault of the program');
      Object.assign(values, after);
    },
    changed: (keys) => void changed.push([...keys]),
    logger: { debug: say, info: say, warn: say, error: say } as StoreLogger,
  });
  const change = (properties: Record<string, string>) => settings.change(new Map(Object.entries(properties)));
  const file = (): unknown => JSON.parse([...settings.encode()].join(''));
  return { settings, values, lines, changed, change, file };
}

test('running settings: values that are allowed each and not together are refused, and nothing is changed or saved', () => {
  const { settings, values, changed, change, file } = open();
  const outcome = change({ low: '50', high: '40', on: 'false' });
  assert.deepEqual(outcome, { refusal: 'value-not-allowed', reason: 'low is above high; nothing was changed' });
  assert.deepEqual(values, { low: 10, high: 20, on: true, fixed: 'a' });
  assert.deepEqual([changed, file(), settings.changeCount], [[], { changes: {} }, 0]);
  assert.deepEqual(change({ low: '50', high: '60' }).changed, ['low', 'high']);
  assert.equal(settings.changeCount, 1);
});

test('running settings: a fault of the program is none of the operator’s', () => {
  const { change, changed, file } = open();
  assert.throws(() => change({ low: '99', high: '100' }), TypeError);
  assert.deepEqual([changed, file()], [[], { changes: {} }]);
});

test('running settings: what was changed is what the next start has, over any number of changes', () => {
  const first = open();
  first.change({ low: '15' });
  first.change({ high: '90', on: 'false' });
  first.change({ low: '16' });
  const second = open();
  second.settings.load(first.file());
  assert.deepEqual(second.values, first.values);
  second.change({ low: '10' });
  assert.deepEqual(Object.keys((second.file() as { changes: object }).changes), ['high', 'on'], 'back at the start’s');
  const third = open();
  third.settings.load(second.file());
  assert.deepEqual(third.values, { low: 10, high: 90, on: false, fixed: 'a' });
});

test('running settings: saved values that do not go with this start are left out with a line, and the start works', () => {
  const { settings, values, lines, file } = open({ low: 20, high: 20 });
  settings.load({ changes: { high: { value: 15, over: 20 } } });
  assert.deepEqual([values.low, values.high], [20, 20]);
  assert.match(lines.at(-1) ?? '', /does not go with this start: low is above high/);
  assert.deepEqual(file(), { changes: {} });
});

test('running settings: a key that may no longer change, or never could, is not put in force by a file', () => {
  const { settings, values, lines } = open();
  const changes = { fixed: { value: 'b', over: 'a' }, none: { value: 1, over: 1 }, constructor: { value: 1, over: 1 } };
  settings.load({ changes });
  assert.equal(values.fixed, 'a');
  assert.equal(Object.hasOwn(values, 'none'), false);
  assert.equal(lines.length, 3);
  for (const line of lines) assert.match(line, /set while it ran, is not used here/);
});

test('running settings: what is no file of settings is refused', () => {
  for (const file of [[], 'x', { changes: [] }, { changes: { low: 5 } }, { changes: { low: [] } }]) {
    assert.throws(() => open().settings.load(file), { code: 'REMOTING_BODY_INVALID' }, JSON.stringify(file));
  }
  const { settings, values } = open();
  settings.load({});
  assert.deepEqual(values, { low: 10, high: 20, on: true, fixed: 'a' });
});

test('running settings: every value of a text comes back from it, in the order of the keys', () => {
  const { settings } = open({ '': 'x', 'a=b': ' y\n', z: '\\' });
  const read = decodeProperties(settings.text());
  assert.deepEqual([...read.keys()].toSorted(), ['', 'a=b', 'fixed', 'high', 'low', 'on', 'z']);
  assert.deepEqual([read.get('a=b'), read.get('z'), read.get('low')], [' y\n', '\\', '10']);
});

test('running settings: many faults are one short reason', () => {
  const { change } = open();
  const outcome = change({ low: 'x'.repeat(100_000), high: '-1', fixed: 'c', on: 'perhaps' });
  assert.equal(outcome.refusal, 'value-not-allowed');
  const reason = outcome.reason ?? '';
  assert.ok(reason.length < 2_000, `${reason.length} characters`);
  for (const part of [/^low=x/, /high=-1: /, /fixed=c: allowed/, /on=perhaps: /]) assert.match(reason, part);
});

test('running settings: only what cannot change, with its own value, is taken and changes nothing', () => {
  const { change, changed, file, values } = open();
  assert.deepEqual(change({ fixed: 'a' }), { changed: [], unknown: undefined });
  assert.equal(change({ fixed: 'b' }).refusal, 'needs-restart');
  assert.deepEqual(file(), { changes: {} });
  assert.deepEqual(changed.flat(), []);
  assert.equal(values.fixed, 'a');
});
