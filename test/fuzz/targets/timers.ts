/**
 * The files of timed messages, damaged: bits, bytes, edge values, pieces cut out, repeated and added in the wheel, the timer
 * log and the checkpoint; files exchanged and removed.
 *
 * What holds: the opening ends, and is refused only with a code; every chain ends, and leads to units; what is added
 * afterwards waits, and does so after a second opening.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { silentLogger } from '@vernier/store';
import { NodeFileSystem, TimerFiles, TimerMagic, UNIT_BYTES } from '@vernier/store/internal';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { expectOwnError, Find, type Target, within } from '../target.ts';

const SLOTS = 1_280;
const NOW = 1_790_000_000_000;
const NOW_SLOT = NOW / 1_000;
const UNITS = 60;
const FILE_BYTES = UNIT_BYTES * 20 + 16;
const OPEN_MS = 10_000;
const NAMES = [
  'timerwheel',
  'config/timercheck',
  ...[0, 1, 2].map((i) => `timerlog/${String(i * FILE_BYTES).padStart(20, '0')}`),
];

const open = (storePathRootDir: string, precisionMs = 1_000): Promise<TimerFiles> =>
  TimerFiles.open({
    ...{ storePathRootDir, fileSystem: new NodeFileSystem(), logger: silentLogger, precisionMs, slots: SLOTS },
    ...{ mappedFileSizeTimerLog: FILE_BYTES, diskFreeBytesMin: 0, now: () => NOW },
    putsOnDisk: () => Promise.resolve(true),
    failed: () => {},
  });

const entry = (ahead: number, logOffset: number) => ({
  ...{ number: NOW_SLOT + ahead, magic: TimerMagic.DEFAULT, writeTimeMs: NOW, logOffset, size: 200, topicHash: 1 },
});

function makeEmpty(root: string): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, 'config'), { recursive: true });
}

async function template(root: string): Promise<Map<string, Buffer>> {
  makeEmpty(root);
  const files = await open(root);
  for (let i = 0; i < UNITS; i++) await files.add(entry(i % 7, i * 300));
  files.setQueueOffset(UNITS);
  await files.close();
  return new Map(NAMES.map((name) => [name, readFileSync(join(root, name))]));
}

/** Log offsets of everything that waits. */
async function waiting(files: TimerFiles): Promise<Set<number>> {
  const found = new Set<number>();
  for (const number of files.above(Number.MIN_SAFE_INTEGER, SLOTS)) {
    const slot = await files.begin(number);
    files.leave();
    let position = slot?.lastPos ?? -1;
    for (let steps = 0; slot !== undefined && position >= files.chainEnd(slot); steps++) {
      if (steps > 10_000) throw new Find(`the chain of slot ${number} does not end`);
      const unit = await files.unitAt(position);
      if (unit === undefined) break;
      if (unit.prevPos >= position) throw new Find(`a unit at ${position} leads to ${unit.prevPos}`);
      found.add(unit.logOffset);
      position = unit.prevPos;
    }
  }
  return found;
}

function damage(random: Random, sound: ReadonlyMap<string, Buffer>, root: string): void {
  const bytes = new Map(sound);
  for (let times = 1 + random.skewed(2); times > 0; times--) {
    const name = random.pick(NAMES);
    const present = bytes.get(name);
    if (present === undefined) continue;
    const kind = random.next();
    if (kind < 0.08) bytes.delete(name);
    else if (kind < 0.16) bytes.set(name, bytes.get(random.pick(NAMES)) ?? Buffer.alloc(0));
    else if (name === 'timerwheel' && random.chance(0.7)) {
      // Where something stands.
      const at = ((NOW_SLOT + random.below(7)) % SLOTS) * 32;
      const slot = mutate(random, present.subarray(at, at + 32)).subarray(0, 32);
      const changed = Buffer.from(present);
      slot.copy(changed, at);
      bytes.set(name, changed);
    } else bytes.set(name, mutate(random, present));
  }
  makeEmpty(root);
  for (const [name, content] of bytes) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
}

export const timers: Target = {
  name: 'timers',
  sessionRounds: 500,
  async open(directory) {
    const root = join(directory, 'store');
    const sound = await template(root);
    return {
      async round(random) {
        damage(random, sound, root);
        let files: TimerFiles;
        try {
          files = await within(OPEN_MS, 'the opening', open(root, random.chance(0.05) ? 100 : 1_000));
        } catch (error) {
          expectOwnError(error, 'the opening', /^STORE_/);
          return;
        }
        await within(OPEN_MS, 'looking at what waits', waiting(files));
        const added: number[] = [];
        for (let i = 0; i < 5; i++) {
          const logOffset = 1_000_000 + i * 300;
          if ((await files.add(entry(i, logOffset))) === 'added') added.push(logOffset);
        }
        await files.close();
        const again = await within(OPEN_MS, 'the second opening', open(root, files.precisionMs));
        const found = await waiting(again);
        await again.close();
        for (const logOffset of added) {
          if (found.has(logOffset)) continue;
          const names = readdirSync(root, { recursive: true }).join(', ');
          throw new Find(
            `what was added after the first opening does not wait after the second: ${logOffset} (${names})`,
          );
        }
      },
      close: () => Promise.resolve(),
    };
  },
};
