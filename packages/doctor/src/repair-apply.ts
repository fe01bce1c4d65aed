import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreError, silentLogger, systemClock } from '@vernier/store';
import {
  BATCH_UNIT_SIZE,
  CQ_STORE_UNIT_SIZE,
  FILE_MODE,
  makeDirectory,
  StoreCheckpoint,
  storePaths,
  targetsAt,
  writeAtomic,
  writeUnit,
} from '@vernier/store/internal';
import { syncUpwards } from './durable-names.ts';
import { fillPieces } from './filler.ts';
import { moveDurably } from './move.ts';
import { queueDirectoryName, rebuild } from './rebuild.ts';
import { type RepairPlan, type RepairStep, type UnfinishedRepair, unfinishedPath } from './repair-plan.ts';
import { doctorFileSystem, readLayout, unitsIn } from './store-layout.ts';

export interface RepairOptions {
  logPath: string | undefined;
  onStep?: (text: string) => void;
  onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** For tests: called before each change on disk; what it throws ends the repair there. */
  beforeChange?: (what: string) => void;
  /** For tests: instead of the system's. */
  rename?: (from: string, to: string) => Promise<void>;
}

export interface RepairResult {
  /** Directory with everything that was replaced or overwritten, and the plan. */
  backup: string;
}

type Step<K extends RepairStep['kind']> = Extract<RepairStep, { kind: K }>;

/**
 * Carries a plan out. The caller holds the store's lock since before the plan was made. The order makes an interruption
 * harmless: what is overwritten is copied first, durably; the log comes first and is sound afterwards, queues and index
 * are made beside and then put in their place, and a note says which, until all is done. Run again, a repair finds what
 * is left to do.
 */
export async function applyRepair(plan: RepairPlan, options: RepairOptions): Promise<RepairResult> {
  return await new Repair(plan, options).run();
}

class Repair {
  readonly #plan: RepairPlan;
  readonly #options: RepairOptions;
  readonly #root: string;
  readonly #backup: string;

  constructor(plan: RepairPlan, options: RepairOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#root = plan.layout.root;
    const stamp = new Date().toISOString().replaceAll(/[-:]/g, '').replace('.', '-');
    this.#backup = join(storePaths(this.#root).quarantine, `repair-${stamp}`);
  }

  async run(): Promise<RepairResult> {
    await this.#prepare();
    for (const step of this.#of('make-log-file')) await this.#makeLogFile(step);
    for (const step of this.#of('quarantine')) await this.#quarantine(step);
    for (const step of this.#of('patch-record')) await this.#patchRecord(step);
    for (const step of this.#of('cut-tail')) await this.#cutTail(step);
    for (const step of this.#of('put-aside')) await this.#putAside(step.path, step.file);
    await this.#patchEntries();
    await this.#rebuild();
    for (const step of this.#of('restore-config')) await this.#restoreConfig(step);
    if (this.#of('checkpoint').length > 0) await this.#checkpoint();
    if (this.#of('remove-abort').length > 0) await this.#removeAbort();
    this.#change('finish');
    await fs.rm(unfinishedPath(this.#root), { force: true });
    await doctorFileSystem.syncDirectory(dirname(unfinishedPath(this.#root)));
    return { backup: this.#backup };
  }

  #of<K extends RepairStep['kind']>(kind: K): Step<K>[] {
    return this.#plan.steps.filter((step): step is Step<K> => step.kind === kind);
  }

  #change(what: string): void {
    this.#options.beforeChange?.(what);
  }

  #say(text: string): void {
    this.#options.onStep?.(text);
  }

  async #prepare(): Promise<void> {
    this.#change('backup');
    await makeDirectory(this.#backup);
    const steps = this.#plan.steps.map((step) =>
      'bytes' in step ? { ...step, bytes: step.bytes.toString('hex') } : step,
    );
    await this.#writeNew(join(this.#backup, 'plan.json'), Buffer.from(`${JSON.stringify(steps, undefined, 2)}\n`));
    const unfinished: UnfinishedRepair = {
      backup: this.#backup,
      queues: this.#of('rebuild-queue').map(({ topic, queueId }) => ({ topic, queueId })),
      index: this.#of('rebuild-index').length > 0,
      indexShape: this.#plan.indexShape,
      queueFileSize: this.#plan.queueFileSize,
      batchFileSize: this.#plan.batchFileSize,
    };
    await writeAtomic(doctorFileSystem, unfinishedPath(this.#root), JSON.stringify(unfinished));
    await syncUpwards(this.#backup, 2);
  }

  async #makeLogFile({ path, size, file }: Step<'make-log-file'>): Promise<void> {
    this.#change(`make ${file}`);
    this.#say(`${file}: made ${size} bytes long`);
    await makeDirectory(dirname(path));
    const handle = await fs.open(path, 'a', FILE_MODE);
    try {
      await handle.truncate(size);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await doctorFileSystem.syncDirectory(dirname(path));
  }

  /** Copies the stretch to a side file, durably, then overwrites it with what brokers pass over. */
  async #quarantine({ path, file, position, request, plan }: Step<'quarantine'>): Promise<void> {
    const { from, to } = request;
    const side = join(this.#backup, `commitlog-${from}-${to}.bin`);
    this.#change(`copy ${from}`);
    this.#say(`${file}: ${to - from} bytes from offset ${from} on copied to ${side}`);
    const handle = await doctorFileSystem.open(path, 'write');
    try {
      await this.#copyRange(handle, position, to - from, side);
      this.#change(`fill ${from}`);
      for (const { offset, bytes } of fillPieces(request, plan)) await handle.write(bytes, position + offset - from);
      await handle.sync();
    } finally {
      await handle.close();
    }
    this.#say(`${file}: made passable, ${plan.tombstones.length} numbers kept in use`);
  }

  async #copyRange(
    handle: Awaited<ReturnType<typeof doctorFileSystem.open>>,
    position: number,
    length: number,
    side: string,
  ): Promise<void> {
    const target = await doctorFileSystem.open(side, 'create');
    const chunk = Buffer.allocUnsafe(Math.min(length, 1024 * 1024));
    try {
      for (let done = 0; done < length; ) {
        const part = chunk.subarray(0, Math.min(chunk.length, length - done));
        const read = await handle.read(part, position + done);
        if (read === 0) break;
        await target.write(part.subarray(0, read), done);
        done += read;
      }
      await target.sync();
    } finally {
      await target.close();
    }
    await doctorFileSystem.syncDirectory(dirname(side));
  }

  async #patchRecord({ path, file, position, bytes, field }: Step<'patch-record'>): Promise<void> {
    this.#change(`patch ${file} at ${position}`);
    this.#say(`${file} at ${position}: ${field} set right`);
    const handle = await doctorFileSystem.open(path, 'write');
    try {
      await this.#copyRange(
        handle,
        position,
        bytes.length,
        join(this.#backup, `patched-${file.replaceAll('/', '-')}-${position}.bin`),
      );
      await handle.write(bytes, position);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #cutTail({ path, file, position, length, from }: Step<'cut-tail'>): Promise<void> {
    this.#change(`cut ${from}`);
    this.#say(`${file}: cut at offset ${from}`);
    const handle = await doctorFileSystem.open(path, 'write');
    try {
      const used = await lastNonZero(handle, position, length);
      await this.#copyRange(handle, position, used, join(this.#backup, `commitlog-tail-${from}.bin`));
      await handle.zeroRange(position, length);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Moves a file out of the store, into the backup. */
  async #putAside(path: string, file: string): Promise<void> {
    this.#change(`put aside ${file}`);
    const target = join(this.#backup, file.startsWith('/') ? `outside${file}` : file);
    await makeDirectory(dirname(target));
    await moveDurably(path, target, this.#options.rename);
  }

  /** Entries of lost messages: they point to what keeps their number now. */
  async #patchEntries(): Promise<void> {
    const rebuilt = new Set(this.#of('rebuild-queue').map(({ topic, queueId }) => `${topic}/${queueId}`));
    const { layout } = this.#plan;
    const unit = Buffer.alloc(CQ_STORE_UNIT_SIZE);
    for (const { topic, queueId, queueOffset, offset, size } of this.#of('patch-entry')) {
      if (rebuilt.has(`${topic}/${queueId}`)) continue;
      const queue = layout.queues.get(topic)?.get(queueId);
      const where = queueOffset * CQ_STORE_UNIT_SIZE;
      const file = queue?.files.find(({ from, size: length }) => where >= from && where < from + length);
      if (file === undefined) continue;
      this.#change(`entry ${queueOffset} of ${topic}/${queueId}`);
      const handle = await doctorFileSystem.open(file.path, 'write');
      try {
        const side = join(this.#backup, `entry-${topic}-${queueId}-${queueOffset}.bin`);
        await this.#copyRange(handle, where - file.from, CQ_STORE_UNIT_SIZE, side);
        writeUnit(unit, 0, offset, size, 0);
        await handle.write(unit, where - file.from);
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }

  async #rebuild(): Promise<void> {
    const queues = this.#of('rebuild-queue');
    const withIndex = this.#of('rebuild-index').length > 0;
    if (queues.length === 0 && !withIndex) return;
    this.#change('rebuild');
    const paths = storePaths(this.#root);
    const fresh = join(this.#backup, 'new');
    await makeDirectory(fresh);
    const { verified, indexShape } = this.#plan;
    // The log is sound now; what it says is what queues and index are made of.
    const layout = await readLayout(this.#root, { logPath: this.#options.logPath, lockIsOurs: true });
    const made = await rebuild({
      logFiles: layout.logFiles,
      queueFileSize: layout.queueFileSize || this.#plan.queueFileSize || unitsIn(6_000_000) * CQ_STORE_UNIT_SIZE,
      batchFileSize: layout.batchFileSize || this.#plan.batchFileSize || 300_000 * BATCH_UNIT_SIZE,
      directory: fresh,
      queues,
      deletions: layout.deletions,
      batchTopics: layout.batchTopics,
      index: withIndex ? { root: fresh, shape: indexShape } : undefined,
      tags: verified.tags,
      onProgress: this.#options.onProgress,
    });
    for (const { topic, queueId, directory } of made.queues) {
      const name = join(queueDirectoryName(layout.batchTopics, topic), topic, String(queueId));
      await this.#replaceDirectory(join(this.#root, name), directory, join(this.#backup, name));
      this.#say(`${name}: made anew`);
    }
    if (withIndex) {
      await makeDirectory(join(fresh, 'index'));
      await this.#replaceDirectory(paths.index, join(fresh, 'index'), join(this.#backup, 'index'));
      this.#say(`index: made anew, keys of ${made.indexEntries} records`);
    }
    await fs.rm(fresh, { recursive: true, force: true });
  }

  /** The old one goes into the backup, the new one takes its place; the note of what is unfinished covers the moment. */
  async #replaceDirectory(place: string, fresh: string, aside: string): Promise<void> {
    this.#change(`replace ${place}`);
    await makeDirectory(dirname(aside));
    await makeDirectory(dirname(place));
    await moveDurably(place, aside, this.#options.rename).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    this.#change(`put in ${place}`);
    await moveDurably(fresh, place, this.#options.rename);
    await doctorFileSystem.syncDirectory(dirname(dirname(place)));
  }

  async #restoreConfig({ name }: Step<'restore-config'>): Promise<void> {
    this.#change(`config ${name}`);
    const directory = storePaths(this.#root).config;
    const path = join(directory, name);
    const copy = (await doctorFileSystem.readFile(`${path}.bak`))!;
    const aside = join(this.#backup, 'config', name);
    await makeDirectory(dirname(aside));
    try {
      const present = await doctorFileSystem.readFile(path);
      if (present !== undefined) await this.#writeNew(aside, present);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_NOT_A_FILE') throw error;
      await moveDurably(path, aside, this.#options.rename);
    }
    // The damaged file must not become the copy that a broker falls back to.
    await writeAtomic(doctorFileSystem, path, copy, { isWhole: () => false });
    this.#say(`config/${name}: restored from its copy`);
  }

  /** A checkpoint that fits: everything is on disk and in the queues, up to the end of the log. */
  async #checkpoint(): Promise<void> {
    this.#change('checkpoint');
    const path = storePaths(this.#root).checkpoint;
    const { layout, verified } = this.#plan;
    const old = await doctorFileSystem.readFile(path);
    if (old !== undefined) await this.#writeNew(join(this.#backup, 'checkpoint'), old);
    const now = await readLayout(this.#root, { logPath: this.#options.logPath, lockIsOurs: true });
    const draft = join(this.#backup, 'new-checkpoint');
    const checkpoint = await StoreCheckpoint.open(draft, {
      fileSystem: doctorFileSystem,
      clock: systemClock,
      logger: silentLogger,
      fail: (error) => error,
    });
    const time = Math.max(0, verified.lastStoreTimestamp);
    const end = now.logFiles.length === 0 ? 0 : verified.logEnd;
    checkpoint.recovered(end, targetsAt(end), time);
    checkpoint.setLogicsMsgTimestamp(time);
    if (now.indexFiles.length > 0) checkpoint.setIndexMsgTimestamp(time);
    const { masterFlushedOffset = 0, confirmPhyOffset = 0 } = layout.checkpoint ?? {};
    if (masterFlushedOffset > 0) checkpoint.setMasterFlushedOffset(Math.min(masterFlushedOffset, end));
    if (confirmPhyOffset > 0) checkpoint.setConfirmPhyOffset(Math.min(confirmPhyOffset, end));
    await checkpoint.close();
    await moveDurably(draft, path, this.#options.rename);
    this.#say(`checkpoint: written anew, everything is on disk up to offset ${end}`);
  }

  async #removeAbort(): Promise<void> {
    this.#change('abort');
    const path = storePaths(this.#root).abort;
    await moveDurably(path, join(this.#backup, 'abort'), this.#options.rename);
    this.#say('abort: taken away, the store counts as shut down');
  }

  async #writeNew(path: string, bytes: Uint8Array): Promise<void> {
    const handle = await fs.open(path, 'w', FILE_MODE);
    try {
      await handle.write(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await doctorFileSystem.syncDirectory(dirname(path));
  }
}

/** Bytes from `position` on up to the last one that is not zero. */
async function lastNonZero(
  handle: Awaited<ReturnType<typeof doctorFileSystem.open>>,
  position: number,
  length: number,
): Promise<number> {
  const chunk = Buffer.allocUnsafe(1024 * 1024);
  const zeros = Buffer.alloc(chunk.length);
  let used = 0;
  for (let done = 0; done < length; done += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, length - done));
    const read = await handle.read(part, position + done);
    if (part.subarray(0, read).equals(zeros.subarray(0, read))) continue;
    let last = read - 1;
    while (part[last] === 0) last--;
    used = done + last + 1;
  }
  return used;
}
