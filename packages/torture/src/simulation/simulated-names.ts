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
  | { kind: 'makeDirectory'; path: string }
  /** With all that is in it. */
  | { kind: 'removeDirectory'; path: string };

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

  removeDirectory(path: string): void {
    if (!this.directories.has(path)) return;
    for (const name of this.files.keys()) if (isInside(name, path)) this.files.delete(name);
    for (const name of this.directories) if (isInside(name, path)) this.directories.delete(name);
    this.#pending.push({ kind: 'removeDirectory', path });
  }

  syncDirectory(directory: string): void {
    // What is made in the place of a removed directory gets to the disk after the removal: a journal keeps their order.
    for (const change of [...this.#pending]) {
      if (change.kind !== 'removeDirectory') continue;
      if (dirname(change.path) === directory || isInside(directory, change.path)) this.#applyRemoval(change);
    }
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

  /** Together with what had been made in the directory and was not durable yet. */
  #applyRemoval(removal: Change): void {
    const at = this.#pending.indexOf(removal);
    // What was moved out of it before is elsewhere.
    const isGone = (change: Change): boolean =>
      isInside(change.kind === 'rename' ? change.to : change.path, removal.path);
    const before = this.#pending.slice(0, at).filter((change) => !isGone(change));
    this.#pending = [...before, ...this.#pending.slice(at + 1)];
    this.#apply(removal);
  }

  /**
   * Each pending change survives or not; one that did not takes later changes of the same names with it. A removed
   * directory that is there again can lack some of its files.
   */
  crash(random: () => number): { files: Map<string, Inode>; directories: Set<string> } {
    const left = new Names();
    for (const [path, inode] of this.durableFiles) left.durableFiles.set(path, inode);
    for (const path of this.durableDirectories) left.durableDirectories.add(path);
    const lost = new Set<string>();
    const back: string[] = [];
    for (const change of this.#pending) {
      const paths = pathsOf(change);
      const isLost = (path: string): boolean => lost.has(path) || back.some((directory) => isInside(path, directory));
      if (!paths.some(isLost) && random() >= 0.5) {
        left.#apply(change);
        continue;
      }
      for (const path of paths) lost.add(path);
      if (change.kind !== 'removeDirectory') continue;
      back.push(change.path);
      for (const path of [...left.durableFiles.keys()]) {
        if (isInside(path, change.path) && random() < 0.3) left.durableFiles.delete(path);
      }
    }
    const files = new Map([...left.durableFiles].filter(([path]) => left.#hasParents(path)));
    const directories = new Set([...left.durableDirectories].filter((path) => left.#hasParents(path)));
    return { files, directories };
  }

  #apply(change: Change): void {
    if (change.kind === 'add') this.durableFiles.set(change.path, change.inode);
    else if (change.kind === 'remove') this.durableFiles.delete(change.path);
    else if (change.kind === 'makeDirectory') this.durableDirectories.add(change.path);
    else if (change.kind === 'removeDirectory') {
      for (const path of this.durableFiles.keys()) if (isInside(path, change.path)) this.durableFiles.delete(path);
      for (const path of this.durableDirectories) if (isInside(path, change.path)) this.durableDirectories.delete(path);
    } else {
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

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function pathsOf(change: Change): string[] {
  return change.kind === 'rename' ? [change.path, change.to] : [change.path];
}
