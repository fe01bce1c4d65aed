// What the repository-wide checks share: the files that git tracks, the packages, and what a source imports.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Tracked files and those that would be added, relative to the root, `/` between folders. */
export function trackedFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { cwd: root });
  return listed
    .toString('utf8')
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(root, file)));
}

export const packageFolders: readonly string[] = readdirSync(join(root, 'packages')).filter((name) =>
  existsSync(join(root, 'packages', name, 'package.json')),
);

export interface Manifest {
  name: string;
  version: string;
  license: string;
  files?: string[];
  dependencies?: Record<string, string>;
}

export const manifestOf = (folder: string): Manifest => JSON.parse(read(`packages/${folder}/package.json`)) as Manifest;

/** TypeScript sources of one package below `part` (src, test). */
export function sourcesOf(folder: string, part: 'src' | 'test' = 'src'): string[] {
  return trackedFiles().filter((file) => file.startsWith(`packages/${folder}/${part}/`) && file.endsWith('.ts'));
}

/** The module specifiers that a source names: import, export … from, import(), require(). */
export function importsOf(source: string): string[] {
  const withoutComments = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1');
  const pattern =
    /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|\brequire\s*\(\s*|\bcreateRequire\([^)]*\)\(\s*)(['"])([^'"\s|]+)\1/g;
  return [...withoutComments.matchAll(pattern)].map((match) => match[2]!);
}

/** `@scope/name` or `name` of a bare specifier; undefined for relative ones, a package's own `#name` and node's own. */
export function packageOf(specifier: string): string | undefined {
  if (
    specifier.startsWith('#') ||
    specifier.startsWith('.') ||
    specifier.startsWith('/') ||
    specifier.startsWith('node:')
  )
    return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
