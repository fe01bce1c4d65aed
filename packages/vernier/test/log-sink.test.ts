import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LogSink, type WriteBytes } from '../src/log-sink.ts';

/** A descriptor that fails as it is told to; `written` is what reached it. */
class Descriptor {
  written = '';
  /** Bytes it takes before it fails. */
  room = Number.POSITIVE_INFINITY;
  code = 'ENOSPC';

  readonly write: WriteBytes = (bytes, offset) => {
    const count = Math.min(bytes.length - offset, this.room);
    if (count <= 0) throw Object.assign(new Error('as told'), { code: this.code });
    this.room -= count;
    this.written += Buffer.from(bytes).toString('utf8', offset, offset + count);
    return count;
  };

  get lines(): { level: number; msg: string; dropped?: number; leftOut?: number }[] {
    return this.written
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }
}

const line = (msg: string, level = 40): string => `${JSON.stringify({ level, time: 1, pid: 1, port: 2, msg })}\n`;

function fixture(): { sink: LogSink; descriptor: Descriptor; clock: { now: number } } {
  const descriptor = new Descriptor();
  const clock = { now: 0, monotonic: () => clock.now };
  return { sink: new LogSink(descriptor.write, undefined, clock), descriptor, clock };
}

describe('log sink', () => {
  for (const code of ['EPIPE', 'ENOSPC', 'EIO', 'EBADF']) {
    it(`${code}: lines are dropped and counted, and said when writing works again`, () => {
      const { sink, descriptor } = fixture();
      sink.write(line('first'));
      descriptor.code = code;
      descriptor.room = 0;
      for (const msg of ['a', 'b', 'c']) sink.write(line(msg));
      assert.equal(sink.dropped, 3);
      descriptor.room = Number.POSITIVE_INFINITY;
      sink.write(line('last'));
      assert.equal(sink.dropped, 0);
      assert.deepEqual(
        descriptor.lines.map(({ msg }) => msg),
        ['first', `3 log lines before this one could not be written: ${code}`, 'last'],
      );
      assert.equal(descriptor.lines[1]?.dropped, 3);
    });
  }

  it('a disk that fills up inside a line: the line is finished first, and every line is one', () => {
    const { sink, descriptor } = fixture();
    descriptor.room = 20;
    for (const msg of ['half', 'lost', 'lost too']) sink.write(line(msg));
    assert.equal(descriptor.written.length, 20);
    descriptor.room = 30;
    sink.write(line('lost as well'));
    descriptor.room = Number.POSITIVE_INFINITY;
    sink.write(line('last'));
    assert.deepEqual(
      descriptor.lines.map(({ msg }) => msg),
      ['half', '3 log lines before this one could not be written: ENOSPC', 'last'],
    );
  });

  it('a report of lost lines that is lost itself is not forgotten', () => {
    const { sink, descriptor } = fixture();
    descriptor.room = 0;
    for (let count = 0; count < 10; count++) sink.write(line('x'));
    assert.equal(sink.dropped, 10);
  });

  it('EAGAIN: a slow reader gets every line, a stalled one a bounded number, and nothing waits in memory beyond it', () => {
    const { sink, descriptor } = fixture();
    descriptor.code = 'EAGAIN';
    descriptor.room = 0;
    sink.write(line('one'));
    sink.write(line('two'));
    assert.equal(sink.dropped, 0);
    descriptor.room = 10;
    sink.flush();
    descriptor.room = Number.POSITIVE_INFINITY;
    sink.flush();
    assert.deepEqual(
      descriptor.lines.map(({ msg }) => msg),
      ['one', 'two'],
    );
    descriptor.room = 0;
    const long = 'x'.repeat(10_000);
    for (let count = 0; count < 60; count++) sink.write(line(`${long} ${count}`));
    assert.ok(sink.dropped > 30, `${sink.dropped} dropped`);
    const { dropped } = sink;
    descriptor.room = Number.POSITIVE_INFINITY;
    sink.write(line('back'));
    assert.equal(descriptor.lines.length, 2 + (60 - dropped) + 2);
    assert.equal(descriptor.lines.at(-2)?.dropped, dropped);
  });

  it('a flood of one cause is a hundred lines a second and their number; other causes are not touched by it', () => {
    const { sink, descriptor, clock } = fixture();
    for (let port = 0; port < 5_000; port++) sink.write(line(`closing the connection of 127.0.0.1:${port}: bad frame`));
    sink.write(line('the disk is full', 50));
    assert.equal(descriptor.lines.length, 101);
    clock.now = 1_000;
    sink.write(line('closing the connection of 127.0.0.1:9: bad frame'));
    const [told, last] = descriptor.lines.slice(-2);
    assert.equal(told?.leftOut, 4_900);
    assert.match(told?.msg ?? '', /^4900 lines were left out like: closing the connection of #\.#\.#\.#:#: bad frame$/);
    assert.match(last?.msg ?? '', /127\.0\.0\.1:9/);
  });

  it('a flood of causes that a stranger makes up is bounded too, and errors still get through it', () => {
    const { sink, descriptor } = fixture();
    const letters = (index: number): string =>
      String(index).replace(/\d/g, (digit) => 'abcdefghij'[Number(digit)] as string);
    for (let index = 0; index < 20_000; index++) sink.write(line(`topic ${letters(index)} made`, 30));
    assert.ok(descriptor.lines.length <= 1_000, `${descriptor.lines.length} lines`);
    sink.write(line('the store is read-only', 50));
    assert.equal(descriptor.lines.at(-1)?.msg, 'the store is read-only');
    sink.flush();
    const told = descriptor.lines.reduce((sum, { leftOut = 0 }) => sum + leftOut, 0);
    const written = descriptor.lines.filter(({ msg }) => msg.startsWith('topic ')).length;
    assert.equal(told + written, 20_000, 'each is written or counted');
  });

  it('debug lines were asked for and are not left out', () => {
    const { sink, descriptor } = fixture();
    for (let index = 0; index < 2_000; index++) sink.write(line('detail', 20));
    assert.equal(descriptor.lines.length, 2_000);
  });

  it('a line as long as a peer made it is cut to its message', () => {
    const { sink, descriptor } = fixture();
    sink.write(line(`a topic named ${'x'.repeat(1_000_000)}`));
    assert.ok(descriptor.written.length < 2_000);
    assert.match(descriptor.lines[0]?.msg ?? '', /^a topic named x+… \(a line of 10000\d\d characters\)$/);
  });

  it('a form that fails is no reason to lose the line', () => {
    const descriptor = new Descriptor();
    const sink = new LogSink(descriptor.write, () => {
      throw new Error('as told');
    });
    sink.write(line('x'));
    assert.equal(descriptor.lines[0]?.msg, 'x');
  });
});
