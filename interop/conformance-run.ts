/**
 * A conformance run: the same programs against Apache RocketMQ 5.5.0 and against Vernier, case by case. A case passes when
 * both give the same result, or when it names the row of docs/compatibility.md that says why they do not. What both gave is
 * written into that page; a run without a change leaves it as it is.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Bench } from './conformance/bench.ts';
import type { Chapter, Result } from './conformance/case.ts';
import { keepResults, type Part, rowsOf, writeTable } from './conformance/report.ts';
import { runAll } from './conformance/run.ts';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind } from './peers/brokers.ts';
import { note, skipUnless } from './peers/suite.ts';

export interface ConformanceRun {
  name: string;
  part: Part;
  chapters: readonly Chapter[];
  /** Before the numbers of its cases. */
  prefix?: string;
  missing: string | undefined;
  start: (kind: 'apache' | 'vernier') => Promise<BrokerPeer>;
}

/** Chapters or cases whose title or sentence has this in it, for those who look at one; nothing is written then. */
const only = process.env.CONFORMANCE_ONLY;

export function conformanceRun({ name, part, chapters, prefix, missing, start }: ConformanceRun): void {
  const skip = brokerKind === 'apache' ? 'runs against both by itself' : skipUnless(missing);
  describe(name, { skip, timeout: 800_000 }, () => {
    const rows = rowsOf(chapters, only, prefix);
    const kinds = ['apache', 'vernier'] as const;
    let results: Record<(typeof kinds)[number], Map<string, Result>>;

    before(async () => {
      const run = async (kind: (typeof kinds)[number]): Promise<Map<string, Result>> => {
        const bench = new Bench(await start(kind));
        try {
          return await runAll(bench, rows);
        } finally {
          await bench.stop();
          await bench.broker.stop();
        }
      };
      const [apache, vernier] = await Promise.all(kinds.map(run));
      results = { apache: apache!, vernier: vernier! };
      keepResults(results, part);
    });
    let passed = 0;
    after(() => {
      // A run in which something went wrong says nothing of how the brokers compare.
      if (only === undefined && passed === rows.length) writeTable(rows, results, part);
    });

    for (const { id, one } of rows) {
      it(`${id} ${one.client}: ${one.behaviour}`, (t) => {
        const full = (result: Result | undefined): string | undefined =>
          typeof result === 'object' ? result.full : result;
        const [apache, vernier] = kinds.map((kind) => full(results[kind].get(id)));
        assert.ok(apache !== undefined && !apache.startsWith('failed: '), `Apache RocketMQ: ${apache}`);
        assert.ok(vernier !== undefined && !vernier.startsWith('failed: '), `Vernier: ${vernier}`);
        if (one.apacheEither !== undefined) {
          assert.ok(one.apacheEither.includes(apache), `Apache RocketMQ: ${apache}`);
          note(t, `RocketMQ: ${apache}; Vernier: ${vernier}`);
        } else if (one.vernierEither !== undefined) {
          assert.ok(one.vernierEither.includes(vernier), `Vernier: ${vernier}`);
          note(t, `RocketMQ: ${apache}; Vernier: ${vernier}`);
        } else if (one.differs === undefined) assert.equal(vernier, apache, 'Vernier, then Apache RocketMQ');
        else assert.notEqual(vernier, apache, `a difference on purpose that is none: ${one.differs}`);
        passed += 1;
      });
    }
  });
}
