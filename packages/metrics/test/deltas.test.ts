import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deltas } from '../src/exporters/deltas.ts';
import { type Labels, Observation } from '../src/observation.ts';

type Said = readonly [
  name: Parameters<Observation['observe']>[0],
  value: Parameters<Observation['observe']>[1],
  Labels?,
];

function exported(deltas: Deltas, ...said: Said[]) {
  const observation = new Observation(100);
  for (const [name, value, labels] of said) observation.observe(name, value, labels);
  return [...deltas.since(observation.metrics())].map(({ name, points }) => [
    name,
    points.map(({ labels, value }) => [
      labels.topic ?? '',
      typeof value === 'number' ? value : [...value.counts, value.sum],
    ]),
  ]);
}

const count = (topic: string, value: number): Said => ['rocketmq_commit_messages_total', value, { topic }];
const times = (counts: number[], sum: number): Said => ['vernier_flush_time', { bounds: [1], counts, sum }];

test('deltas: counters and histograms say what came since, gauges what is', () => {
  const deltas = new Deltas();
  const gauge: Said = ['vernier_flush_waiters', 7];
  assert.deepEqual(exported(deltas, count('T', 5), times([1, 2], 9), gauge), [
    ['rocketmq_commit_messages_total', [['T', 5]]],
    ['vernier_flush_time', [['', [1, 2, 9]]]],
    ['vernier_flush_waiters', [['', 7]]],
  ]);
  assert.deepEqual(exported(deltas, count('T', 6), count('U', 2), times([1, 4], 12), gauge), [
    [
      'rocketmq_commit_messages_total',
      [
        ['T', 1],
        ['U', 2],
      ],
    ],
    ['vernier_flush_time', [['', [0, 2, 3]]]],
    ['vernier_flush_waiters', [['', 7]]],
  ]);
  assert.deepEqual(exported(deltas, count('T', 6), count('U', 2), times([1, 4], 12), gauge), [
    ['vernier_flush_waiters', [['', 7]]],
  ]);
});

test('deltas: what was counted anew counts from nought, and what is gone is forgotten', () => {
  const deltas = new Deltas();
  exported(deltas, count('T', 5), count('U', 9), times([3, 3], 6));
  assert.deepEqual(exported(deltas, count('T', 2), times([4, 0], 4)), [
    ['rocketmq_commit_messages_total', [['T', 2]]],
    ['vernier_flush_time', [['', [4, 0, 4]]]],
  ]);
  assert.deepEqual(exported(deltas, count('U', 10)), [['rocketmq_commit_messages_total', [['U', 10]]]]);
});

test('deltas: counts that go on in place are not taken for those of the export before', () => {
  const deltas = new Deltas();
  const counts = [1, 0];
  exported(deltas, times(counts, 1));
  counts[0] = 3;
  assert.deepEqual(exported(deltas, times(counts, 3)), [['vernier_flush_time', [['', [2, 0, 2]]]]]);
});
