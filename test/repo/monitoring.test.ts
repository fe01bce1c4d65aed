// The dashboard, the alerts and their runbook name metrics that there are.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/clean-up.ts';
import { alerts } from './monitoring/alerts.ts';
import { faultsOf, series } from './monitoring/metric-names.ts';
import { rows } from './monitoring/panels.ts';
import { read } from './workspace.ts';

const queries = rows.flatMap(({ panels }) => panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)));

test('monitoring: every query of the dashboard and every alert names metrics and labels that there are', () => {
  assert.ok(queries.length > 40);
  assert.deepEqual([...queries, ...alerts.map(({ query }) => query)].flatMap(faultsOf), []);
});

test('monitoring: the check itself sees a metric, a label and a grouping that there are not', () => {
  assert.equal(faultsOf('vernier_nothing{node_id="a"}').length, 1);
  assert.equal(faultsOf('vernier_flush_waiters{topic="a"}').length, 1);
  assert.equal(faultsOf('sum by (topic) (vernier_flush_waiters)').length, 1);
  assert.equal(faultsOf('1 + 1').length, 1);
  assert.deepEqual(faultsOf('sum by (node_id) (rate(vernier_flush_group_size_count{node_id=~"$node"}[5m]))'), []);
});

test('monitoring: names in Prometheus differ from each other', () => {
  assert.equal(series.size, new Set(series.keys()).size);
  assert.ok(series.has('rocketmq_consumer_lag_latency_milliseconds'));
  assert.ok(series.has('rocketmq_storage_flush_behind_bytes'));
});

test('monitoring: the runbook says of each alert what it means and what to do, and of no other', () => {
  const [, part = ''] = read('docs/guides/operations.md').split('\n## Alerts\n');
  const headings = [...part.split('\n## ')[0]!.matchAll(/^### (\w+)\n\n(.+)$/gm)].map(([, name]) => name);
  assert.deepEqual(
    headings,
    alerts.map(({ name }) => name),
  );
});

const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 30_000 });
const noSystemd = analyze('--version').status !== 0 && 'there is no systemd-analyze';

test('monitoring: systemd has nothing to say of the unit, and counts it among the safe ones', {
  skip: noSystemd,
}, async (t) => {
  const unit = join(await temporaryFolder(t, 'unit'), 'vernier.service');
  // What it would start is not here.
  writeFileSync(unit, read('docs/operations/vernier.service').replaceAll('/usr/bin/vernier', process.execPath));
  const verified = analyze('verify', unit);
  assert.deepEqual([verified.status, verified.stdout, verified.stderr], [0, '', '']);
  const { stdout } = analyze('security', '--offline=true', '--no-pager', unit);
  const [, exposure] = /Overall exposure level for vernier\.service: ([\d.]+)/.exec(stdout) ?? [];
  assert.ok(Number(exposure) <= 1.5, `docs/guides/operations.md says 1.3: ${exposure}`);
});
