import { readFile } from 'node:fs/promises';

const page = new URL('../../docs/design/recovery.md', import.meta.url);

/** The rows of the tables of docs/design/recovery.md whose fourth column has this heading: their cells, from index 1 on. */
export async function recoveryRows(heading: string): Promise<string[][]> {
  const rows: string[][] = [];
  let isWanted = false;
  for (const line of (await readFile(page, 'utf8')).split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (!line.startsWith('|')) isWanted = false;
    else if (cells[4] === heading) isWanted = true;
    else if (isWanted && !line.startsWith('|--')) rows.push(cells);
  }
  return rows;
}

/** The names of the tests in a file's source. */
export const testNames = (source: string): string[] =>
  [...source.matchAll(/^test\(\s*'([^']+)'/gm)].map((match) => match[1]!);
