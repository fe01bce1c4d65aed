// What may lie where a program expects a file, made for a test.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';

export const notAFile = {
  'a named pipe': (path: string) => execFileSync('mkfifo', [path]),
  'a directory': (path: string) => mkdirSync(path),
  // Whoever reads it to its end never comes back.
  'a character device': (path: string) => symlinkSync('/dev/zero', path),
} as const;

export type NotAFile = keyof typeof notAFile;

/** Puts it in the place of what is there. */
export function putInPlace(path: string, kind: NotAFile): void {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(dirname(path), { recursive: true });
  notAFile[kind](path);
}
