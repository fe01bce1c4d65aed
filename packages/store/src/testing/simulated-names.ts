/**
 * The names of a simulated file system, volatile and durable. A name that was made, moved or removed is durable only
 * after a sync of its directory (of either one, for a move between two: a move is atomic).
 */
import { dirname } from 'node:path';
import type { Inode } from './simulated-file.ts';

type Change =
  | { kind: 'add'; path: string; inode: Inode }
  | { kind: 'remove'; path: string }
  | { kind: 'rename'; path: string; to: string; inode: Inode }
  | { kind: 'makeDirectory'; path: string };

export class Names {
  readonly files = new Map<string, Inode>();
  readonly directories = new Set<string>();
  readonly durableFiles = new Map<string, Inode>();
  readonly durableDirectories = new Set<string>();
  /** Not durable yet, in the order they were made. */
  #pending: Change[] = [];

  add(path: string, inode: Inode): void {
    this.files.set(path, inode);
    this.#pending.push({ kind: 'add', path, inode });
  }

  remove(path: string): void {
    if (this.files.delete(path)) this.#pending.push({ kind: 'remove', path });
  }

  rename(from: string, to: string, inode: Inode): void {
    this.files.delete(from);
    this.files.set(to, inode);
    this.#pending.push({ kind: 'rename', path: from, to, inode });
  }

  makeDirectory(path: string): void {
    if (this.directories.has(path)) return;
    const parent = dirname(path);
    if (parent !== path) this.makeDirectory(parent);
    this.directories.add(path);
    this.#pending.push({ kind: 'makeDirectory', path });
  }

  /** Removed directories are gone at once, durably: nothing may depend on a removed directory coming back. */
  removeDirectory(path: string): void {
    const inside = (name: string): boolean => name === path || name.startsWith(`${path}/`);
    for (const names of [this.files, this.durableFiles]) {
      for (const name of names.keys()) if (inside(name)) names.delete(name);
    }
    for (const names of [this.directories, this.durableDirectories]) {
      for (const name of names) if (inside(name)) names.delete(name);
    }
    this.#pending = this.#pending.filter((change) => !inside(change.kind === 'rename' ? change.to : change.path));
  }

  syncDirectory(directory: string): void {
    const rest: Change[] = [];
    for (const change of this.#pending) {
      const touches =
        dirname(change.path) === directory || (change.kind === 'rename' && dirname(change.to) === directory);
      if (touches) this.#apply(change);
      else rest.push(change);
    }
    // An addition of a name that was moved on and made durable under its new one is void.
    this.#pending = rest.filter(
      (change) =>
        change.kind !== 'add' || this.files.get(change.path) === change.inode || !this.#isDurable(change.inode),
    );
  }

  /** Each pending change survives or not; one that did not takes later changes of the same names with it. */
  crash(random: () => number): { files: Map<string, Inode>; directories: Set<string> } {
    const left = new Names();
    for (const [path, inode] of this.durableFiles) left.durableFiles.set(path, inode);
    for (const path of this.durableDirectories) left.durableDirectories.add(path);
    const lost = new Set<string>();
    for (const change of this.#pending) {
      const paths = change.kind === 'rename' ? [change.path, change.to] : [change.path];
      if (paths.some((path) => lost.has(path)) || random() < 0.5) for (const path of paths) lost.add(path);
      else left.#apply(change);
    }
    const files = new Map([...left.durableFiles].filter(([path]) => left.#hasParents(path)));
    const directories = new Set([...left.durableDirectories].filter((path) => left.#hasParents(path)));
    return { files, directories };
  }

  #apply(change: Change): void {
    if (change.kind === 'add') this.durableFiles.set(change.path, change.inode);
    else if (change.kind === 'remove') this.durableFiles.delete(change.path);
    else if (change.kind === 'makeDirectory') this.durableDirectories.add(change.path);
    else {
      this.durableFiles.delete(change.path);
      this.durableFiles.set(change.to, change.inode);
    }
  }

  #isDurable(inode: Inode): boolean {
    return [...this.durableFiles.values()].includes(inode);
  }

  /** What lies in a directory whose own name did not survive is gone with it. */
  #hasParents(path: string): boolean {
    for (let parent = dirname(path); ; parent = dirname(parent)) {
      if (!this.durableDirectories.has(parent)) return false;
      if (parent === dirname(parent)) return true;
    }
  }
}
