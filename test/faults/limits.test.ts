/** Limits of the process: no more open files, 64 MiB of memory left, a heap of 64 MiB. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask } from '../../interop/peers/remoting-ask.ts';
import { askForTopic, needs, Scene } from './support/scene.ts';

const MiB = 1024 * 1024;
/** In a file of the log of these tests, at most. */
const MESSAGES_A_FILE = 4_096;

function prlimitMissing(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  return spawnSync('prlimit', ['--version']).status === 0 ? undefined : 'needs prlimit';
}

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

function limitFiles(pid: number, count: number): void {
  const result = spawnSync('prlimit', ['--pid', String(pid), `--nofile=${count}:`], { encoding: 'utf8' });
  assert.equal(result.status, 0, result.stderr);
}

for (const engine of ['channel, pool lane', 'mmap'] as const) {
  test(`open-file limit reached, ${engine}: what cannot be done is refused, the process lives, nothing promised is lost`, {
    ...needs(prlimitMissing()),
    timeout: 120_000,
  }, async (t) => {
    assert.equal(prlimitMissing(), undefined, 'CI must be able to run this test');
    const scene = new Scene(t, { engine, store: { putMessageTimeout: 1_000 } });
    const broker = await scene.broker();
    const load = await scene.load(broker);
    let limit = openFiles(broker.pid);
    limitFiles(broker.pid, limit);
    // Connections that nobody accepts, a topic whose file cannot be opened, log files that cannot be made.
    const sockets: Socket[] = Array.from({ length: 20 }, () => connect(broker.address.port, broker.address.host));
    scene.atEnd(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (const socket of sockets) socket.on('error', () => {});
    // With a file to spare the log takes its next one, and from then on gives back that of the one before, without end.
    let enough = load.acknowledged + 2 * MESSAGES_A_FILE;
    await load.until('a refusal', () => {
      if (load.acknowledged > enough) {
        limitFiles(broker.pid, --limit);
        enough = load.acknowledged + 2 * MESSAGES_A_FILE;
      }
      return load.refused > 20;
    });
    assert.ok(!broker.hasEnded, broker.output);
    const acknowledged = load.acknowledged;
    await load.until('what was acknowledged is pulled', () => load.pulled >= acknowledged);
    assert.match(load.lastRefusal, /EMFILE|create mapped file failed/);
    t.diagnostic(`${acknowledged} acknowledged, then ${load.lastRefusal}`);
    for (const socket of sockets) socket.destroy();
    limitFiles(broker.pid, 4_096);
    // New clients are served again, without a restart.
    const answer = await ask(broker.where, 28, {}, undefined, 20_000);
    assert.equal(answer.code, 0, answer.remark);
    await broker.kill();
    load.stop();
    scene.crashed();
    await scene.startsAgain();
  });
}

/** A control group whose memory is limited to what its one process takes from now on. */
class MemoryGroup {
  private readonly path: string;
  private readonly isV1: boolean;

  constructor(name: string, bytes: number) {
    this.isV1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes');
    this.path = join(this.isV1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup', name);
    mkdirSync(this.path);
    writeFileSync(join(this.path, this.isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(bytes));
  }

  take(pid: number): void {
    writeFileSync(join(this.path, 'cgroup.procs'), String(pid));
  }

  /** Bytes charged to it. */
  get used(): number {
    return Number(readFileSync(join(this.path, this.isV1 ? 'memory.usage_in_bytes' : 'memory.current'), 'utf8'));
  }

  get kills(): number {
    const text = readFileSync(join(this.path, this.isV1 ? 'memory.oom_control' : 'memory.events'), 'utf8');
    return Number(/oom_kill (\d+)/.exec(text)?.[1] ?? 0);
  }

  async remove(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      try {
        rmdirSync(this.path);
        return;
      } catch {
        // Its last process is not yet gone for good.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

function memoryGroupMissing(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux, for a control group';
  try {
    const group = new MemoryGroup(`vernier-probe-${process.pid}`, 64 * MiB);
    void group.used;
    void group.remove();
    return undefined;
  } catch (error) {
    return `no control group for memory here: ${(error as Error).message}`;
  }
}

const groupMissing = memoryGroupMissing();

// A container may give no control groups away, CI included; the heap limit below is then what is left.
test('64 MiB of memory left: the broker goes on serving', {
  skip: groupMissing ?? false,
  timeout: 120_000,
}, async (t) => {
  const scene = new Scene(t, { engine: 'channel, pool lane' });
  const broker = await scene.broker();
  const group = new MemoryGroup(`vernier-fault-${process.pid}`, 64 * MiB);
  scene.atEnd(() => group.remove());
  scene.atEnd(() => broker.destroy());
  // What it had is charged to where it was; from here on it gets 64 MiB, page cache included.
  group.take(broker.pid);
  const load = await scene.load(broker, 32);
  await load.until('messages', () => load.acknowledged > 3_000, 60_000);
  for (let number = 0; number < 50; number++) {
    const answer = await askForTopic(broker, `topic-${number}`);
    assert.equal(answer.code, 0, answer.remark);
  }
  await load.until('more messages', () => load.pulled > 3_000, 60_000);
  assert.equal(group.kills, 0, 'the kernel ended it for its memory');
  assert.ok(!broker.hasEnded, broker.output);
  t.diagnostic(
    `${load.acknowledged} acknowledged, ${load.refused} refused, ${(group.used / MiB).toFixed(0)} MiB charged`,
  );
  await broker.kill();
  load.stop();
  scene.crashed();
  await scene.startsAgain();
});

test('a heap of 64 MiB: the broker starts, recovers and goes on serving', { timeout: 120_000 }, async (t) => {
  const scene = new Scene(t, { engine: 'channel, pool lane' });
  const nodeArgs = ['--max-old-space-size=64'];
  const broker = await scene.broker({ nodeArgs });
  const load = await scene.load(broker, 32);
  await load.until('messages', () => load.acknowledged > 3_000 && load.pulled > 3_000, 60_000);
  assert.equal(load.refused, 0, load.lastRefusal);
  await broker.kill();
  load.stop();
  scene.crashed();
  await scene.startsAgain({ nodeArgs });
});
