import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/**
 * An ext4 file system in an image file, mounted through a loop device: a disk whose power can be cut. What a program
 * wrote and did not flush lies in the page cache of the mounted file system; the image holds only what the file system
 * sent to its device. A copy of the image is therefore what a power cut leaves, and the copy, mounted elsewhere, replays
 * the file system's journal as a machine does that comes back.
 *
 * Two things this disk is kinder in than a real one: what reached the device survives even where no FLUSH command
 * followed, and a sector is never torn. And ext4 makes a new file's name durable together with the file's own fsync, so
 * a missing fsync of a directory does not show here; the simulated disk of the store's own tests is for that.
 */
const run = (command: string, args: string[]) => spawnSync(command, args, { encoding: 'utf8' });

function must(command: string, args: string[]): void {
  const result = run(command, args);
  if (result.error) throw new Error(`${command} ${args.join(' ')}: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr.trim()}`);
}

let reason: string | undefined | null = null;

/** Why there can be no such disk here, or undefined when there can. Tries it once. */
export function powerCutDiskMissing(): string | undefined {
  if (reason === null) reason = findReason();
  return reason;
}

function findReason(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux: loop devices and ext4';
  if (process.getuid?.() !== 0) return 'needs root: mounts a file system';
  if (run('mkfs.ext4', ['-V']).status !== 0) return 'needs mkfs.ext4';
  let disk: PowerCutDisk | undefined;
  try {
    disk = new PowerCutDisk(8);
    return undefined;
  } catch (error) {
    return `no loop-mounted ext4 here: ${(error as Error).message}`;
  } finally {
    disk?.destroy();
  }
}

const alive = new Set<PowerCutDisk>();
process.on('exit', () => {
  for (const disk of alive) disk.destroy();
});

export class PowerCutDisk {
  /** Where the file system is mounted now. */
  readonly mountPoint: string;
  private readonly home: string;
  private readonly image: string;
  private isMounted = false;

  /** @param sizeMiB of the file system; the image is sparse and takes only what is written. */
  constructor(sizeMiB: number) {
    this.home = mkdtempSync(join(tmpdir(), 'vernier-power-cut-'));
    this.mountPoint = join(this.home, 'mount');
    this.image = join(this.home, 'image');
    alive.add(this);
    try {
      mkdirSync(this.mountPoint);
      closeSync(openSync(this.image, 'w'));
      truncateSync(this.image, sizeMiB * 1024 * 1024);
      // Without these the kernel goes on initializing tables in the background, and the image never stands still.
      must('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.image]);
      this.mount();
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  private mount(): void {
    must('mount', ['-o', 'loop', this.image, this.mountPoint]);
    this.isMounted = true;
  }

  private unmount(): void {
    if (!this.isMounted) return;
    must('umount', [this.mountPoint]);
    this.isMounted = false;
  }

  /**
   * Copies the image as it is now, without asking anybody to write anything to it. The caller has stopped the programs
   * that use it. The kernel may still write old pages back by itself: the copy is taken again until the device took no
   * write while it was made, and is then what the image was at one moment.
   */
  copyNow(): void {
    for (let attempt = 0; attempt < 200; attempt++) {
      const before = this.deviceWrites();
      must('cp', ['--sparse=always', this.image, `${this.image}.cut`]);
      const after = this.deviceWrites();
      if (before.underWay === 0 && after.underWay === 0 && before.count === after.count) return;
    }
    throw new Error('the disk was written to during each of 200 copies');
  }

  /** Writes the loop device has finished, and requests it has not. */
  private deviceWrites(): { count: number; underWay: number } {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    const device = mounts.find((line) => line.split(' ')[1] === this.mountPoint)?.split(' ')[0];
    if (!device) throw new Error(`nothing is mounted on ${this.mountPoint}`);
    const fields = readFileSync(`/sys/block/${basename(device)}/stat`, 'latin1')
      .trim()
      .split(/\s+/)
      .map(Number);
    return { count: fields[4]!, underWay: fields[8]! };
  }

  /** Puts the copy of copyNow() in the place of the disk and mounts it. No program may use the old one any more. */
  powerOn(): void {
    this.unmount();
    renameSync(`${this.image}.cut`, this.image);
    this.mount();
  }

  /** Unmounts, detaches the loop device (the kernel does it with the unmount) and removes the image. */
  destroy(): void {
    if (this.isMounted && run('umount', [this.mountPoint]).status !== 0) run('umount', ['-l', this.mountPoint]);
    this.isMounted = false;
    rmSync(this.home, { recursive: true, force: true });
    alive.delete(this);
  }
}
