/** Commands of Apache's mqadmin 5.5.0, and what is compared of what they print. */
import { type Bench, pause } from './bench.ts';
import type { Case, Result } from './case.ts';

/** Addresses, times, ids and what a machine measures, and blanks between columns. */
function normalized(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => !/\|-(INFO|WARN|ERROR) /.test(line) && !/^\s*at |^Caused by|^SLF4J/.test(line))
    .map((line) =>
      line
        .replaceAll(/\s+/g, ' ')
        .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
        .replaceAll(/\d{4}-\d\d-\d\d[ #]\d\d:\d\d:\d\d(,\d+)?/g, '<time>')
        .replaceAll(/\d{4}-\d\d-\d\d/g, '<day>')
        .replaceAll(/\b1[6-9]\d{11}\b/g, '<time>')
        .replaceAll(/\b[0-9A-F]{32}\b/g, '<id>')
        .replaceAll(/\/tmp\/\S+/g, '<file>')
        .replaceAll(/\d+(\.\d+)?ms\b/g, '<n>ms')
        .replaceAll(/^\d+\.\d+\.\d+\.\d+(?=@)/gm, '<ip>')
        .replaceAll(/[\w.-]+@(admin-\w+)/g, '<ip>@$1')
        .replaceAll(/(@ADMIN\w*@|CommitLog Offset: |commitLogOffset=|Timestamp=|listenPort = )\d+/g, '$1<n>')
        .replaceAll(/\b[0-9A-F]{40,}\b/g, '<id>')
        .trim(),
    )
    .filter((line) => line !== '');
}

export async function command(bench: Bench, line: string): Promise<{ out: string; err: string }> {
  const filled = line.replaceAll('{broker}', bench.broker.brokerAddr);
  const client = bench.client('mqadmin');
  return client.call<{ out: string; err: string }>('mqadmin', { line: `${filled} -n ${bench.namesrv}` });
}

/** The output that has this in it, or what there is after half a minute. */
export async function settled(bench: Bench, line: string, until: RegExp): Promise<{ out: string; err: string }> {
  for (const end = Date.now() + 30_000; ; ) {
    const answer = await command(bench, line);
    if (until.test(answer.out) || Date.now() > end) return answer;
    await pause(300);
  }
}

export interface Look {
  /** What is compared of the output; all of it without this. */
  of?: (lines: string[]) => string[];
  /** What is printed once everything before has come into effect; asked again until then, for half a minute at most. */
  until?: RegExp;
  differs?: string;
  edge?: string;
}

/** A command whose output is compared. */
export function output(line: string, { of = (lines) => lines, until, ...more }: Look = {}): Case {
  const name = line.replaceAll('{broker}', 'BROKER').replaceAll('|', '\\|');
  return {
    behaviour: `\`${name}\``,
    client: 'mqadmin',
    ...more,
    run: async (bench) =>
      shown(until === undefined ? await command(bench, line) : await settled(bench, line, until), of),
  };
}

export function shown({ out, err }: { out: string; err: string }, of: (lines: string[]) => string[]): Result {
  const lines = of(normalized(out));
  const code = /CODE: (\d+)/.exec(err)?.[1];
  const failed = code === undefined ? normalized(err).slice(0, 1).join('') : `code ${code}`;
  const full = [failed, ...lines].join('\n');
  if (failed !== '') return { shown: failed, full };
  return { shown: lines.length === 1 && lines[0]!.length < 90 ? lines[0]! : linesOf(lines.length), full };
}

const linesOf = (count: number): string => (count === 1 ? '1 line' : `${count} lines`);

export const having =
  (pattern: RegExp) =>
  (lines: string[]): string[] =>
    lines.filter((line) => pattern.test(line)).sort();
