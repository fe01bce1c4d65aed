import { mkdirSync, promises, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DIRECTORY_MODE } from './modes.ts';

/*
 * Directories are made level by level, each at most twice. Node's own `recursive: true` does not end where a file system
 * answers ENOENT for a name below a directory that is there (/proc: it makes the parent, which exists, and tries again,
 * for ever), and reports a full disk as ENOENT when several levels are missing.
 */

/**
 * Makes `path` and what is missing above it, up to but without `within` when that is given. Rejects with the error of the
 * level that could not be made.
 */
export async function makeDirectory(path: string, within?: string): Promise<void> {
  try {
    await makeOne(path);
  } catch (error) {
    if (!isMissingParent(error, path) || dirname(path) === within) throw error;
    await makeDirectory(dirname(path), within);
    await makeOne(path);
  }
}

/** As {@link makeDirectory}, at once. */
export function makeDirectorySync(path: string): void {
  try {
    makeOneSync(path);
  } catch (error) {
    if (!isMissingParent(error, path)) throw error;
    makeDirectorySync(dirname(path));
    makeOneSync(path);
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await promises.mkdir(path, DIRECTORY_MODE);
  } catch (error) {
    const there = await promises.stat(path).catch(() => undefined);
    if (!there?.isDirectory()) throw error;
  }
}

function makeOneSync(path: string): void {
  try {
    mkdirSync(path, DIRECTORY_MODE);
  } catch (error) {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

function isMissingParent(error: unknown, path: string): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(path) !== path;
}
