import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { timeOf } from '../../src/input/time.ts';

test('time: what toISOString gives comes back the same, and so do its shorter forms', () => {
  const years = { min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true };
  fc.assert(
    fc.property(fc.date(years), (date) => {
      assert.equal(timeOf(date.toISOString()), date.getTime());
      const day = date.toISOString().slice(0, 10);
      assert.equal(timeOf(day), Date.parse(`${day}T00:00:00Z`));
    }),
  );
  assert.equal(timeOf('2026-01-31T12:00Z'), Date.UTC(2026, 0, 31, 12));
  assert.equal(timeOf('2026-01-31T12:00:00-05:30'), Date.UTC(2026, 0, 31, 17, 30));
  assert.equal(timeOf('2026-01-31 12:00:00'), new Date(2026, 0, 31, 12).getTime(), 'without a zone it is here');
});

test('time: days, months and hours that no calendar has are none', () => {
  for (const typed of [
    ...['2026-02-29', '2026-02-30', '2026-04-31', '2026-00-10', '2026-13-10', '2026-01-00', '2026-01-32'],
    ...['2026-01-31T24:01', '2026-01-31T25:00Z', '2026-01-31T12:60Z', '2026-01-31T12:00:61Z'],
  ]) {
    assert.equal(timeOf(typed), undefined, typed);
  }
  assert.equal(timeOf('2024-02-29'), Date.UTC(2024, 1, 29));
});

test('time: no text with a number in it passes for a time, whatever Date.parse thinks of it', () => {
  const texts = ['frist 1', 'last 5', '5', '2026', '2026-01', '26-01-31', '1/2/2026', 'Jan 1 2026', 'yesterday', ''];
  for (const typed of [...texts, ' 2026-01-31', '2026-01-31 ', '2026-01-31T', '2026-01-31T12:00:00Zfoo']) {
    assert.equal(timeOf(typed), undefined, `'${typed}'`);
  }
  assert.ok(texts.filter((typed) => !Number.isNaN(Date.parse(typed))).length > 4, 'Date.parse takes many of them');
});
