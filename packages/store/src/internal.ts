/** For Vernier's own packages and tools; promises nothing to anybody else. */
export { type AtomicWriteOptions, backupPath, readAtomic, writeAtomic } from './io/atomic-file.ts';
export type { FileSystem, StoreFile } from './io/file-system.ts';
export { NodeFileSystem } from './io/node-file-system.ts';
