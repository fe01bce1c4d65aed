/** The table of the conformance run in docs/compatibility.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, repositoryRoot } from '../peers/java.ts';
import type { Case, Chapter, RestartCase, Result } from './case.ts';
import { edges } from './edges.ts';

export interface Row {
  id: string;
  chapter: string;
  one: Case | RestartCase;
}

const page = join(repositoryRoot, 'docs', 'compatibility.md');

/** A place in the page that a run writes. */
export type Part = 'conformance' | 'grpc conformance';
const parts: readonly Part[] = ['conformance', 'grpc conformance'];
const marks = (part: Part): [begin: string, end: string] => [`<!-- begin ${part} -->`, `<!-- end ${part} -->`];

/** `prefix` tells the numbers of one table from those of another. */
export function rowsOf(chapters: readonly Chapter[], only: string | undefined, prefix = ''): Row[] {
  const rows = chapters.flatMap(({ title, cases }, chapter) =>
    cases.map((one, index) => ({ id: `${prefix}${chapter + 1}.${index + 1}`, chapter: title, one })),
  );
  const wanted = ({ id, chapter, one }: Row): boolean =>
    only === undefined ||
    id === only ||
    id.startsWith(`${only}.`) ||
    (!/^G?[\d.]+$/.test(only) && `${chapter} ${one.behaviour}`.includes(only));
  return rows.filter(wanted);
}

/** The page without what this writes. */
function writtenByHand(): string {
  let text = readFileSync(page, 'utf8');
  for (const part of parts) {
    const [beginMark, endMark] = marks(part);
    const begin = text.indexOf(beginMark);
    if (begin >= 0) text = text.slice(0, begin) + text.slice(text.indexOf(endMark) + endMark.length);
  }
  return text;
}

/** The heading above the row that begins so; undefined when there is no such row, or more than one. */
function headingOf(row: string): string | undefined {
  const text = writtenByHand();
  const at = text.indexOf(`\n| ${row}`);
  if (at < 0 || text.indexOf(`\n| ${row}`, at + 1) >= 0) return undefined;
  return [...text.slice(0, at).matchAll(/^## (.+)$/gm)].at(-1)?.[1];
}

/** What is wrong with the cases' own words about differences and edges; `allEdges`: each of them needs its case or test. */
export function coverage(rows: readonly Row[], allEdges = true): string[] {
  const wrong: string[] = [];
  for (const { id, one } of rows) {
    if (one.differs !== undefined && headingOf(one.differs) === undefined)
      wrong.push(`${id}: not one row of docs/compatibility.md begins with "${one.differs}"`);
    if (one.edge !== undefined && !edges.some((edge) => edge.id === one.edge)) wrong.push(`${id}: no edge ${one.edge}`);
  }
  for (const edge of allEdges ? edges : []) {
    if (edge.test === undefined && edge.later === undefined && !rows.some(({ one }) => one.edge === edge.id))
      wrong.push(`${edge.id}: no case, no test`);
  }
  return wrong;
}

/** Text for a cell of a table; within code, which stands between backticks, `<` is itself. */
const cell = (text: string): string =>
  text
    .replaceAll('|', '\\|')
    .replaceAll('\n', ' ')
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`');
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const shownOf = (result: Result | undefined): string => {
  const text = typeof result === 'object' ? result.shown : (result ?? 'not run');
  return text === '' ? 'nothing' : text;
};
const fullOf = (result: Result | undefined): string | undefined => (typeof result === 'object' ? result.full : result);

function tableOf(rows: readonly Row[], results: Results): string {
  const lines: string[] = [];
  let chapter = '';
  for (const row of rows) {
    if (row.chapter !== chapter) {
      chapter = row.chapter;
      lines.push(
        '',
        `### ${chapter}`,
        '',
        '| Case | What is done | By | RocketMQ 5.5.0 | Vernier |',
        '|---|---|---|---|---|',
      );
    }
    const { id, one } = row;
    const [apache, vernier] = [results.apache.get(id), results.vernier.get(id)];
    const edge = one.edge === undefined ? '' : ` (${one.edge})`;
    const theirs = oneOf(one.apacheEither) ?? shownOf(apache);
    let ours = oneOf(one.vernierEither) ?? shownOf(vernier);
    if (one.differs !== undefined) {
      const heading = headingOf(one.differs) ?? '';
      const alike = one.apacheEither === undefined && ours === shownOf(apache);
      ours = `${alike ? 'another text' : ours} ([why](#${anchor(heading)}))`;
      lines.push(`| ${id} | ${cell(one.behaviour)}${edge} | ${one.client} | ${cell(theirs)} | ${cell(ours)} |`);
    } else {
      if (fullOf(apache) === fullOf(vernier)) ours = 'the same';
      lines.push(`| ${id} | ${cell(one.behaviour)}${edge} | ${one.client} | ${cell(theirs)} | ${cell(ours)} |`);
    }
  }
  return lines.join('\n');
}

const oneOf = (texts: readonly string[] | undefined): string | undefined =>
  texts === undefined ? undefined : `one of: ${texts.join(', or: ')}`;

function edgesOf(rows: readonly Row[]): string {
  const lines = ['', '', '### Edge cases', '', '| | Input, and what is right | Case | Test |', '|---|---|---|---|'];
  for (const { id, text, test, later } of edges) {
    const cases = rows.filter(({ one }) => one.edge === id).map((row) => row.id);
    const elsewhere = [test === undefined ? [] : `\`${test}\``, later ?? []].flat().join('; ');
    lines.push(`| ${id} | ${cell(text)} | ${cases.join(', ')} | ${elsewhere} |`);
  }
  return lines.join('\n');
}

type Results = Record<'apache' | 'vernier', Map<string, Result>>;

/** What both gave in full, for those who look for the reason of a difference. */
export function keepResults(results: Results, part: Part = 'conformance'): string {
  const file = join(cacheFolder, `${part.replace(' ', '-')}.json`);
  const all = Object.entries(results).map(([kind, of]) => [kind, Object.fromEntries(of)]);
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`);
  return file;
}

/** Writes the table into docs/compatibility.md, between its marks. */
export function writeTable(rows: readonly Row[], results: Results, part: Part = 'conformance'): void {
  const text = readFileSync(page, 'utf8');
  const [beginMark, endMark] = marks(part);
  const begin = text.indexOf(beginMark);
  const end = text.indexOf(endMark);
  if (begin < 0 || end < begin) throw new Error(`${page}: no place for the table between ${beginMark} and ${endMark}`);
  const table = tableOf(rows, results) + (part === 'conformance' ? edgesOf(rows) : '');
  writeFileSync(page, `${text.slice(0, begin)}${beginMark}\n${table}\n\n${text.slice(end)}`);
}
