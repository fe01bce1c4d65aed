import { dirname } from 'node:path';
import { doctorFileSystem } from './store-layout.ts';

/** Makes the names of a directory and of `levels` above it durable. */
export async function syncUpwards(directory: string, levels: number): Promise<void> {
  let path = directory;
  for (let level = 0; level <= levels; level++) {
    await doctorFileSystem.syncDirectory(path);
    path = dirname(path);
  }
}
