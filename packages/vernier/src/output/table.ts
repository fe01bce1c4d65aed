/** Columns as wide as their widest cell, two blanks between them; numbers (`align: 'right'`) end under each other. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      widths
        .map((width, column) => {
          const cell = line[column] ?? '';
          return right.includes(column) ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Name and value in two columns, indented: the form of the start-up and of `status`. */
export function facts(entries: readonly (readonly [name: string, ...values: string[]])[], indent = '  '): string {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries
    .flatMap(([name, ...values]) =>
      values.map((value, index) => `${indent}${(index === 0 ? name : '').padEnd(width)}  ${value}`),
    )
    .join('\n');
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1.5 MiB`; whole below a KiB. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `1 record`, `2,000 records`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** `1,234,567` */
export const grouped = (count: number): string => count.toLocaleString('en-US');

/** Two digits that mean something: `0.84 ms`, `8.4 ms`, `84 ms`. */
export function milliseconds(ms: number): string {
  return `${ms < 1 ? ms.toFixed(2) : ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}
