import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatencyHistogram } from '../../bench/load/histogram.ts';

test('latency histogram: quantiles lie within 1.6 % of the exact ones, never below them', () => {
  const histogram = new LatencyHistogram();
  const values: number[] = [];
  let state = 12345;
  for (let index = 0; index < 20_000; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    // Spread over all sizes, from single microseconds to half an hour.
    const value = state >>> (index % 28);
    values.push(value);
    histogram.record(value);
  }
  values.sort((left, right) => left - right);
  for (const quantile of [0.01, 0.5, 0.9, 0.99, 0.999]) {
    const exact = values[Math.ceil(values.length * quantile) - 1]!;
    const found = histogram.quantile(quantile);
    assert.ok(found >= exact && found <= exact * 1.016 + 1, `${quantile}: ${found}, exactly ${exact}`);
  }
  const { count, maxUs } = histogram.summary();
  assert.equal(count, values.length);
  assert.equal(maxUs, values.at(-1));
});

test('latency histogram: small values are exact, nothing recorded gives zeros, reset forgets', () => {
  const histogram = new LatencyHistogram();
  assert.deepEqual(histogram.summary(), { count: 0, meanUs: 0, p50Us: 0, p99Us: 0, p999Us: 0, maxUs: 0 });
  for (const value of [5, 5, 5, 127]) histogram.record(value);
  assert.deepEqual(histogram.summary(), { count: 4, meanUs: 35.5, p50Us: 5, p99Us: 127, p999Us: 127, maxUs: 127 });
  histogram.reset();
  assert.equal(histogram.summary().count, 0);
});
