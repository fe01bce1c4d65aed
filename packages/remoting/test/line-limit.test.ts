import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LineLimit, PeerLog } from '../src/line-limit.ts';
import { ManualClock } from './support/manual-clock.ts';
import { RecordingLogger } from './support/recording-logger.ts';

describe('LineLimit', () => {
  it('lets a few lines of a cause through in a second and counts the rest', () => {
    const clock = new ManualClock();
    const limit = new LineLimit(clock, 2);
    assert.deepEqual(
      [limit.admit('a'), limit.admit('a'), limit.admit('a'), limit.admit('a')],
      [0, 0, undefined, undefined],
    );
    assert.equal(limit.admit('b'), 0, 'another cause has its own lines');
    clock.advance(999);
    assert.equal(limit.admit('a'), undefined);
    clock.advance(1);
    assert.equal(limit.admit('a'), 3);
    assert.equal(limit.admit('a'), 0);
  });

  it('tells of what was left out at the end of a flood, once', () => {
    const limit = new LineLimit(new ManualClock(), 1);
    for (let line = 0; line < 10; line++) limit.admit('a');
    assert.deepEqual(limit.takeLeftOut(), [['a', 9]]);
    assert.deepEqual(limit.takeLeftOut(), []);
  });

  it('causes made up without end share one second and do not stay', () => {
    const clock = new ManualClock();
    const limit = new LineLimit(clock, 2);
    let admitted = 0;
    for (let cause = 0; cause < 100_000; cause++) if (limit.admit(`made up ${cause}`) !== undefined) admitted++;
    assert.ok(admitted < 300, `${admitted} lines`);
    const told = limit.takeLeftOut().reduce((sum, [, count]) => sum + count, 0);
    assert.equal(admitted + told, 100_000, 'none is lost from the count');
    clock.advance(1000);
    assert.equal(limit.admit('a new one'), 0);
  });
});

describe('PeerLog', () => {
  it('says how many lines like this one were left out', () => {
    const clock = new ManualClock();
    const logger = new RecordingLogger();
    const log = new PeerLog(logger, clock);
    for (let line = 0; line < 100; line++) log.write('warn', 'cause', { line }, `line ${line}`);
    assert.equal(logger.at('warn').length, 5);
    clock.advance(1000);
    log.write('warn', 'cause', { line: 100 }, 'line 100');
    const last = logger.at('warn').at(-1);
    assert.equal(last?.message, 'line 100 (95 more like this were left out)');
    assert.deepEqual(last?.fields, { line: 100, leftOut: 95 });
  });
});
