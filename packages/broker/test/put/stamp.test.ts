import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@vernier/store';
import { PropertyScan, parseProperties } from '@vernier/store/internal';
import fc from 'fast-check';
import { defaultBrokerConfig } from '../../src/config.ts';
import type { MessageToPut } from '../../src/put/message-to-put.ts';
import { Stamp } from '../../src/put/stamp.ts';

const message: MessageToPut = {
  ...{ topic: 'T', queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 0, reconsumeTimes: 0 },
  ...{ properties: '', body: Buffer.from('x') },
};
const piece = fc.constantFrom(
  ...['UNIQ_KEY', 'KEYS', 'TAGS', 'WAIT', 'X', 'true', 'false', 'a b', '\u0001', '\u0002', '\u0001', '\u0002'],
);
const property = fc
  .tuple(fc.constantFrom('UNIQ_KEY', 'KEYS', 'TAGS', 'WAIT', 'X'), fc.constantFrom('v', 'a b', 'false', ''))
  .map(([name, value]) => `${name}\u0001${value}\u0002`);
const properties = fc.array(fc.oneof(piece, property), { maxLength: 8 }).map((parts) => parts.join(''));

/** Keys that were made differ; everything else must not. */
const withoutMadeKey = (text: string, had: boolean): string =>
  had ? text : text.replace(/UNIQ_KEY.[0-9A-F]{32}./, 'K');

test('stamp: bytes and text get the same, whatever the properties', () => {
  const stamp = new Stamp({ ...defaultBrokerConfig, regionId: 'région' }, systemClock);
  fc.assert(
    fc.property(properties, fc.nat(20), (text, before) => {
      const buffer = Buffer.from(`${'?'.repeat(before)}${text}\u0001?`, 'latin1');
      const range = { bytes: buffer, from: before, to: before + text.length };
      const ofText = stamp.text(text, new PropertyScan().scanText(text).found);
      const had = parseProperties(text).has('UNIQ_KEY');
      const ofBytes = stamp.bytes(message, range)!;
      assert.ok(ofBytes, 'no rule needs them as text');
      assert.equal(ofBytes.scan.uniqKey?.length, ofText.uniqKey?.length);
      if (had) assert.equal(ofBytes.scan.uniqKey, ofText.uniqKey);
      else assert.equal(parseProperties(textOf(ofBytes)).get('UNIQ_KEY'), ofBytes.scan.uniqKey);
      assert.equal(withoutMadeKey(textOf(ofBytes), had), withoutMadeKey(ofText.properties, had));
    }),
    { numRuns: 2_000 },
  );
});

/** What is in the record. */
function textOf(bytes: { length: number; writeTo(target: Buffer, at: number): number }): string {
  const record = Buffer.alloc(bytes.length);
  assert.equal(bytes.writeTo(record, 0), bytes.length);
  return record.toString('utf8');
}

test('stamp: what a rule reads in full is text', () => {
  const stamp = new Stamp(defaultBrokerConfig, systemClock);
  const bytes = (text: string, more: Partial<MessageToPut> = {}) =>
    stamp.bytes({ ...message, ...more }, { bytes: Buffer.from(text, 'latin1'), from: 0, to: text.length });
  for (const name of [
    'DELAY',
    'TIMER_DELAY_SEC',
    'TIMER_DELAY_MS',
    'TIMER_DELIVER_MS',
    'TRAN_MSG',
    'POP_CK',
    'CLUSTER',
  ]) {
    assert.equal(bytes(`${name}\u00011\u0002`), undefined, name);
    assert.notEqual(bytes(`X${name}\u00011\u0002`), undefined, `X${name}`);
  }
  assert.equal(bytes('', { sysFlag: 4 }), undefined, 'a transaction');
  assert.equal(bytes('', { topic: '%RETRY%g' }), undefined, 'a retry');
  assert.notEqual(bytes(''), undefined);
});
