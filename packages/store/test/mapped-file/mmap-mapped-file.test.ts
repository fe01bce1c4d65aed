import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MMAP_APPEND_BYTES_MAX } from '../../src/base/limits.ts';
import { loadNative, mappingSupported, type Native, type NativeWindow } from '../../src/io/native.ts';
import { NodeFileSystem } from '../../src/io/node-file-system.ts';
import { createMappedFileEngine } from '../../src/mapped-file/mapped-file-engine.ts';
import { WINDOW_BYTES } from '../../src/mapped-file/mmap-windows.ts';
import { append, flushAll, lastFile, makeContext, openLog, patterned } from './harness.ts';

const native = loadNative();
const skip = { skip: native === undefined || !mappingSupported ? 'needs Linux and koffi' : false };
const MiB = 1024 * 1024;

/** Remembers what each window was used for. */
function counting() {
  const windows: { maps: number; covers: number; syncs: [number, number][] }[] = [];
  const counted: Native = {
    ...native!,
    reserveWindow(length): NativeWindow {
      const window = native!.reserveWindow(length);
      const uses = { maps: 0, covers: 0, syncs: [] as [number, number][] };
      windows.push(uses);
      return {
        view: window.view,
        length,
        map(fd, position, bytes) {
          uses.maps++;
          window.map(fd, position, bytes);
        },
        sync(start, bytes) {
          uses.syncs.push([start, bytes]);
          return window.sync(start, bytes);
        },
        cover() {
          uses.covers++;
          window.cover();
        },
      };
    },
  };
  return { windows, counted };
}

test('mmap: records across the end of a window; few windows, made once, given back when flushed', skip, async (t) => {
  const { windows, counted } = counting();
  const config = { writeWithoutMmap: false, mappedFileSizeCommitLog: 80 * MiB };
  const { queue } = await openLog(t, { config, native: counted });
  const offsets: number[] = [];
  while (queue.maxOffset < 150 * MiB) {
    offsets.push(await append(queue, 3 * MiB + 123));
    if (offsets.length % 4 === 0) await flushAll(queue);
  }
  await flushAll(queue);
  for (const offset of offsets) {
    assert.ok(
      (await queue.read(offset, 3 * MiB + 123)).equals(patterned(offset, 3 * MiB + 123)),
      `record at ${offset}`,
    );
  }
  assert.ok(windows.length <= 2, `${windows.length} windows`);
  const maps = windows.reduce((sum, window) => sum + window.maps, 0);
  const covers = windows.reduce((sum, window) => sum + window.covers, 0);
  assert.ok(maps >= 5, `${maps} parts of files were mapped`);
  assert.ok(maps - covers <= 1, 'only the part that is appended to stays mapped');
});

test(
  'mmap: what was appended to a window during a flush is flushed after another window took over',
  skip,
  async (t) => {
    const synced: [number, number][] = [];
    let holdNext: Promise<void> | undefined;
    let entered = (): void => {};
    const watched: Native = {
      ...native!,
      reserveWindow(length): NativeWindow {
        const window = native!.reserveWindow(length);
        let position = 0;
        return {
          view: window.view,
          length,
          map(fd, at, bytes) {
            position = at;
            window.map(fd, at, bytes);
          },
          async sync(start, bytes) {
            const held = holdNext;
            holdNext = undefined;
            entered();
            await held;
            await window.sync(start, bytes);
            synced.push([position + start, position + start + bytes]);
          },
          cover: () => window.cover(),
        };
      },
    };
    const config = { writeWithoutMmap: false, mappedFileSizeCommitLog: 80 * MiB };
    const { queue } = await openLog(t, { config, native: watched });
    await append(queue, 5 * MiB);
    let release = (): void => {};
    holdNext = new Promise((resolve) => {
      release = resolve;
    });
    const started = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const flushing = queue.flush(0);
    await started;
    while (queue.maxOffset < 40 * MiB) await append(queue, 5 * MiB);
    release();
    await flushing;
    assert.equal(queue.flushedWhere, 5 * MiB);
    await flushAll(queue);
    assert.equal(queue.flushedWhere, queue.maxOffset);
    let reached = 0;
    for (const [from, to] of synced.sort((a, b) => a[0] - b[0])) {
      assert.ok(from <= reached, `[${reached}, ${from}) was never synced`);
      reached = Math.max(reached, to);
    }
    assert.equal(reached, queue.maxOffset);
  },
);

test('mmap: msync covers the dirty pages and no others', skip, async (t) => {
  const { windows, counted } = counting();
  const { queue } = await openLog(t, { config: { writeWithoutMmap: false }, native: counted });
  await append(queue, 5000);
  await queue.flush(0);
  await append(queue, 100);
  await queue.flush(0);
  assert.deepEqual(windows[0]!.syncs, [
    [0, 5000],
    [4096, 1004],
  ]);
});

test('mmap: unflushed data in all windows is backpressure, and a flush ends it', skip, async (t) => {
  const config = { writeWithoutMmap: false, mappedFileSizeCommitLog: 300 * MiB };
  const { queue } = await openLog(t, { config, native: counting().counted });
  const file = await lastFile(queue);
  // Records that almost fill a window: the bytes themselves are never touched, so that no page of them exists.
  const size = WINDOW_BYTES - 8192;
  let count = 0;
  while (file.reserve(size)) {
    file.advance(size);
    count++;
  }
  assert.equal(count, 8);
  await queue.flush(0);
  assert.equal(file.reserve(size), true);
});

test('mmap: a record larger than a window is refused as a mistake of the caller', skip, async (t) => {
  const config = { writeWithoutMmap: false, mappedFileSizeCommitLog: 80 * MiB };
  const { queue } = await openLog(t, { config, native: native! });
  const file = await lastFile(queue);
  assert.throws(() => file.reserve(MMAP_APPEND_BYTES_MAX + 1), RangeError);
});

test('mmap: without koffi it is STORE_NATIVE_UNAVAILABLE, with the remedy', () => {
  const { context } = makeContext(new NodeFileSystem({ native: undefined }), '/nowhere', { writeWithoutMmap: false });
  assert.throws(() => createMappedFileEngine(context, { native: undefined }), {
    code: 'STORE_NATIVE_UNAVAILABLE',
    message: /set writeWithoutMmap=true/,
  });
});
