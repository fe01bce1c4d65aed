import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
   * that use it. The kernel may still write old pages back by itself: the copy is taken again until it equals the image
   * behind it, and is then what the image was at one moment.
   */
  copyNow(): void {
    for (let attempt = 0; attempt < 20; attempt++) {
      must('cp', ['--sparse=always', this.image, `${this.image}.cut`]);
      if (sameContent(this.image, `${this.image}.cut`)) return;
    }
    throw new Error('the image changed during each of 20 copies');
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

function sameContent(left: string, right: string): boolean {
  const descriptors = [openSync(left, 'r'), openSync(right, 'r')] as const;
  const buffers = [Buffer.allocUnsafe(1 << 22), Buffer.allocUnsafe(1 << 22)] as const;
  try {
    for (;;) {
      const read = readSync(descriptors[0], buffers[0], 0, buffers[0].length, null);
      readSync(descriptors[1], buffers[1], 0, buffers[1].length, null);
      if (read === 0) return true;
      if (!buffers[0].subarray(0, read).equals(buffers[1].subarray(0, read))) return false;
    }
  } finally {
    for (const descriptor of descriptors) closeSync(descriptor);
  }
}
