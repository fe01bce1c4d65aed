import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
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
    disk = new PowerCutDisk({ sizeMiB: 64 });
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

/** ext4 is what is meant where nothing else is said; the others show that nothing rests on one file system's habits. */
export type DiskFormat = 'ext4' | 'xfs' | 'btrfs';

/** The smallest that mkfs makes, with some room. */
export const diskMiBOf: Record<DiskFormat, number> = { ext4: 256, xfs: 320, btrfs: 320 };

/** Why there can be no disk of this format here, or undefined when there can. */
export function diskFormatMissing(format: DiskFormat): string | undefined {
  if (format === 'ext4') return powerCutDiskMissing();
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux: mounts a file system';
  if (run(`mkfs.${format}`, ['-V']).error) return `needs mkfs.${format}`;
  let disk: PowerCutDisk | undefined;
  try {
    disk = new PowerCutDisk({ sizeMiB: diskMiBOf[format], format });
    return undefined;
  } catch (error) {
    return `no loop-mounted ${format} here: ${(error as Error).message}`;
  } finally {
    disk?.destroy();
  }
}

export interface PowerCutDiskOptions {
  /** Default ext4. Only ext4 can have its own backing. */
  format?: DiskFormat;
  /** Of the file system; the image is sparse and takes only what is written. */
  sizeMiB: number;
  /** The image lies in a file system of its own in memory, whose room limitBacking() can end. */
  ownBacking?: boolean;
}

export class PowerCutDisk {
  /** Where the file system is mounted now. */
  readonly mountPoint: string;
  private readonly home: string;
  private readonly backing: string;
  private image: string;
  private cuts = 0;
  private restoreRequestSize: { setting: string; kib: string } | undefined;
  private readonly mounted = new Set<string>();

  constructor(options: PowerCutDiskOptions) {
    this.home = mkdtempSync(join(tmpdir(), 'vernier-power-cut-'));
    this.mountPoint = join(this.home, 'mount');
    this.backing = join(this.home, 'backing');
    this.image = join(this.backing, 'image');
    alive.add(this);
    try {
      mkdirSync(this.mountPoint);
      mkdirSync(this.backing);
      if (options.ownBacking) this.mount(this.backing, ['-t', 'tmpfs', '-o', 'size=100%', 'tmpfs', this.backing]);
      closeSync(openSync(this.image, 'w'));
      truncateSync(this.image, options.sizeMiB * 1024 * 1024);
      this.format(options.format ?? 'ext4');
      if (options.ownBacking) this.touchMetadata();
      this.mount(this.mountPoint, ['-o', 'loop', this.image, this.mountPoint]);
      // The loop driver reports success for a request of which its backing took only the first pages. With requests of
      // one page there is no such part, and a full backing is the failed write that it is on a disk.
      if (options.ownBacking) this.setRequestSize('4');
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  private format(format: DiskFormat): void {
    // Without these the kernel goes on initializing tables in the background, and the image never stands still.
    // A small journal and few inodes, so that limitBacking() can reserve all of the file system's own blocks.
    const shape = ['-b', '4096', '-J', 'size=4', '-N', '2048', '-E', 'lazy_itable_init=0,lazy_journal_init=0'];
    if (format === 'ext4') must('mkfs.ext4', ['-q', '-F', ...shape, this.image]);
    else must(`mkfs.${format}`, ['-q', '-f', this.image]);
  }

  private mount(at: string, args: string[]): void {
    must('mount', args);
    this.mounted.add(at);
  }

  /**
   * Gives the blocks of the journal, the bitmaps and the inode tables their room in the backing now. What fails later is
   * then the data alone: with a failing journal the file system would turn read-only, which is the easier case.
   */
  private touchMetadata(): void {
    const ranges: [number, number][] = [];
    const layout = run('dumpe2fs', [this.image]).stdout;
    for (const [, first, last] of layout.matchAll(
      /(?:superblock|descriptors|GDT blocks|bitmap|Inode table) at (\d+)(?:-(\d+))?/g,
    )) {
      ranges.push([Number(first), Number(last ?? first)]);
    }
    for (const block of run('debugfs', ['-R', 'blocks <8>', this.image]).stdout.trim().split(/\s+/)) {
      ranges.push([Number(block), Number(block)]);
    }
    if (ranges.length < 1000) throw new Error(`dumpe2fs and debugfs named only ${ranges.length} ranges of blocks`);
    const descriptor = openSync(this.image, 'r+');
    const block = Buffer.alloc(4096);
    for (const [first, last] of ranges) {
      for (let number = first; number <= last; number++) {
        readSync(descriptor, block, 0, block.length, number * block.length);
        writeSync(descriptor, block, 0, block.length, number * block.length);
      }
    }
    closeSync(descriptor);
  }

  /** From now on the device takes `bytes` more and then fails writes, as a thin-provisioned disk does that is full. */
  limitBacking(bytes: number): void {
    const { blocks, bfree, bsize } = statfsSync(this.backing);
    const size = (blocks - bfree) * bsize + bytes;
    must('mount', ['-o', `remount,size=${Math.ceil(size / 1024)}k`, this.backing]);
  }

  /**
   * Copies the image as it is now, without asking anybody to write anything to it. The caller has stopped the programs
   * that use it. The kernel may still write old pages back by itself: the copy is taken again until the device took no
   * write while it was made, and is then what the image was at one moment.
   */
  copyNow(): void {
    for (let attempt = 0; attempt < 200; attempt++) {
      const before = this.deviceWrites();
      must('cp', ['--sparse=always', this.image, this.nextImage]);
      const after = this.deviceWrites();
      if (before.underWay === 0 && after.underWay === 0 && before.count === after.count) return;
    }
    throw new Error('the disk was written to during each of 200 copies');
  }

  private get nextImage(): string {
    return join(this.home, `image-${this.cuts + 1}`);
  }

  /** Writes the loop device has finished, and requests it has not. */
  private deviceWrites(): { count: number; underWay: number } {
    const fields = readFileSync(`/sys/block/${this.device()}/stat`, 'latin1').trim().split(/\s+/).map(Number);
    return { count: fields[4]!, underWay: fields[8]! };
  }

  /** The setting outlives the mount and would slow down whoever gets the device next, so the old value is kept. */
  private setRequestSize(kib: string): void {
    const setting = `/sys/block/${this.device()}/queue/max_sectors_kb`;
    this.restoreRequestSize ??= { setting, kib: readFileSync(setting, 'latin1').trim() };
    writeFileSync(setting, kib);
  }

  /** The loop device's name, such as loop0. */
  private device(): string {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    const device = mounts.find((line) => line.split(' ')[1] === this.mountPoint)?.split(' ')[0];
    if (!device) throw new Error(`nothing is mounted on ${this.mountPoint}`);
    return basename(device);
  }

  /** Mounts the copy of copyNow() in the place of the disk. No program may use the old one any more. */
  powerOn(): void {
    must('umount', [this.mountPoint]);
    this.mounted.delete(this.mountPoint);
    rmSync(this.image);
    this.image = this.nextImage;
    this.cuts += 1;
    this.mount(this.mountPoint, ['-o', 'loop', this.image, this.mountPoint]);
  }

  /** Unmounts, detaches the loop device (the kernel does it with the unmount) and removes the image. */
  destroy(): void {
    if (this.restoreRequestSize) writeFileSync(this.restoreRequestSize.setting, this.restoreRequestSize.kib);
    this.restoreRequestSize = undefined;
    for (const at of [this.mountPoint, this.backing]) {
      if (!this.mounted.delete(at)) continue;
      if (run('umount', [at]).status !== 0) run('umount', ['-l', at]);
    }
    rmSync(this.home, { recursive: true, force: true });
    alive.delete(this);
  }
}
