/**
 * The file operations the store uses, and nothing else of node:fs. Two implementations: the real one over an IoLane,
 * and a simulated one with a volatile and a durable image of every file. Each method says what its promise guarantees.
 * Failures reject with the errno error of the call (`code` 'EIO', 'ENOSPC', …); callers wrap them in a StoreError.
 */
export interface StoreFile {
  readonly path: string;
  /** The descriptor, for a mapping of this file; undefined when there is none (simulated files). */
  readonly fd: number | undefined;
  /** Resolves when every byte is *written* (page cache): survives a killed process, not a power cut. */
  write(data: Uint8Array | readonly Uint8Array[], position: number): Promise<void>;
  /**
   * write() on this thread, done when it returns: for a few bytes that the page cache takes at once. False: it cannot be done
   * now, and nothing was. Throws the errno error of the call. Absent where a file cannot do it.
   */
  writeNow?(data: Uint8Array, position: number): boolean;
  /**
   * Writes, and resolves when *these bytes* (no others) are *on disk*. One call where that is the faster way to flush a
   * group (O_DSYNC on Linux, docs/design/write-path.md); absent elsewhere. Never retry a failure.
   */
  writeDurably?(data: Uint8Array | readonly Uint8Array[], position: number): Promise<void>;
  /** Fills `target` from `position`; resolves with the number of bytes read, less than asked only at the end of file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** fdatasync: every byte whose write resolved before this call is *on disk* when it resolves. Never retry a failure. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  /**
   * Reserves real disk blocks up to `length` and makes that the file's length (fallocate; ftruncate without koffi).
   * Rejects with code ENOSPC, before any call that changes the file, when fewer than `freeBytesMin` bytes would stay
   * free. A failed attempt is undone (the file has its old length again) before the error is reported.
   */
  allocate(length: number, freeBytesMin?: number): Promise<void>;
  /**
   * Makes [position, position + length) read as zeros; inside the file's length, which stays. Its blocks stay reserved.
   * On disk only after sync().
   */
  zeroRange(position: number, length: number): Promise<void>;
  /**
   * Takes the synced part of [position, position + length) out of the page cache: what is read or written next is the
   * disk's. Without koffi the disk first gets what the cache shows (direct-rewrite.ts). False where neither can be done
   * (macOS, Windows, a file system without direct I/O).
   */
  dropCache(position: number, length: number): Promise<boolean>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface FileStat {
  size: number;
  mtimeMs: number;
  isDirectory: boolean;
}

/** `read`: existing, read only. `write`: existing, read and write. `create`: read and write, made when missing. */
export type OpenMode = 'read' | 'write' | 'create';

/**
 * Whose traffic an open file carries. `log`: the commit log's writes and syncs, which go through the IoLane. `other`
 * (default): everything else, on libuv's threads.
 */
export type Traffic = 'log' | 'other';

/** A blocking call that has not returned yet. */
export interface InFlightOperation {
  operation: string;
  file: string;
  /** Milliseconds since it was handed over. */
  sinceMs: number;
}

export interface DiskSpace {
  /** Bytes in use and freeBytes; what is reserved for the superuser counts as neither, as in `df`. */
  totalBytes: number;
  /** Bytes that this user can still allocate. */
  freeBytes: number;
}

/** Closes descriptors that nobody uses now; resolves with whether there were any. */
export type GiveBack = () => Promise<boolean>;

/** Asks those who keep descriptors open for later, when a call finds that there is none to spare. */
export interface SpareDescriptors {
  register(giveBack: GiveBack): void;
  unregister(giveBack: GiveBack): void;
}

export interface FileSystem {
  /** Where descriptors are limited; a file system without them asks nobody, and so keeps nobody either. */
  readonly spareDescriptors?: SpareDescriptors | undefined;
  /**
   * Rejects STORE_NOT_A_FILE, at once, for a directory, a named pipe, a device, a loop of links; so does readFile. `create`
   * follows no link.
   */
  open(path: string, mode: OpenMode, traffic?: Traffic): Promise<StoreFile>;
  /** Undefined when there is no such file. Rejects STORE_NOT_A_FILE for what is neither. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Names in a directory, sorted; empty when it does not exist. */
  list(directory: string): Promise<string[]>;
  /** Whole content of a small file; undefined when there is no such file. */
  readFile(path: string): Promise<Buffer | undefined>;
  /**
   * Creates the directory and its missing parents, of those the ones below `within` alone: ENOENT when `within` is missing.
   * Not durable until syncDirectory of each parent.
   */
  makeDirectory(path: string, within?: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; no error when it is missing. */
  remove(path: string): Promise<void>;
  /** Removes a directory with all that is in it; no error when it is missing. */
  removeDirectory(path: string): Promise<void>;
  /** Makes the names in this directory durable (fsync of the directory). */
  syncDirectory(path: string): Promise<void>;
  space(path: string): Promise<DiskSpace>;
  /** The commit log's disk calls that have not returned; a shutdown that waits says which file and since when. */
  inFlight(): InFlightOperation[];
  /** Calls besides those of the log's files that have come back since the start: it grows while a long stop gets on. */
  readonly doneCount?: number;
  /** Counts a call made elsewhere (msync) among inFlight() until `done` settles. Returns `done`. */
  track<T>(operation: string, file: string, done: Promise<T>): Promise<T>;
}
