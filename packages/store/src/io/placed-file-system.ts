import { dirname } from 'node:path';
import type {
  DiskSpace,
  FileStat,
  FileSystem,
  InFlightOperation,
  OpenMode,
  SpareDescriptors,
  StoreFile,
  Traffic,
} from '../base/file-system.ts';

/** Says whether a path still leads where it led when the store was opened: a StoreLock. */
export interface Place {
  /** Rejects STORE_DIRECTORY_MOVED. */
  check(path: string): Promise<void>;
}

/**
 * A file system that changes nothing in a directory which is not the one that was locked: it was moved or removed while
 * the store was open, and what has its name now belongs to nobody or to somebody else. Looked at before each call that
 * makes, opens for writing, renames or removes; what is open already stays so and lies in the locked directory.
 */
export class PlacedFileSystem implements FileSystem {
  readonly #inner: FileSystem;
  readonly #place: Place;

  constructor(inner: FileSystem, place: Place) {
    this.#inner = inner;
    this.#place = place;
  }

  get spareDescriptors(): SpareDescriptors | undefined {
    return this.#inner.spareDescriptors;
  }

  async open(path: string, mode: OpenMode, traffic?: Traffic): Promise<StoreFile> {
    if (mode !== 'read') await this.#place.check(path);
    return this.#inner.open(path, mode, traffic);
  }

  async makeDirectory(path: string, within?: string): Promise<void> {
    await this.#place.check(path);
    await this.#inner.makeDirectory(path, within);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#place.check(from);
    if (dirname(from) !== dirname(to)) await this.#place.check(to);
    await this.#inner.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await this.#place.check(path);
    await this.#inner.remove(path);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#place.check(path);
    await this.#inner.removeDirectory(path);
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#inner.stat(path);
  }

  list(directory: string): Promise<string[]> {
    return this.#inner.list(directory);
  }

  readFile(path: string): Promise<Buffer | undefined> {
    return this.#inner.readFile(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#inner.syncDirectory(path);
  }

  space(path: string): Promise<DiskSpace> {
    return this.#inner.space(path);
  }

  inFlight(): InFlightOperation[] {
    return this.#inner.inFlight();
  }

  get doneCount(): number {
    return this.#inner.doneCount ?? 0;
  }

  track<T>(operation: string, file: string, done: Promise<T>): Promise<T> {
    return this.#inner.track(operation, file, done);
  }
}
