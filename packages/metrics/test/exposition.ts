// The text that Prometheus reads, read by its rules.
import assert from 'node:assert/strict';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Exposition {
  /** Name of a metric → counter, gauge, histogram. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const found = LABEL.exec(text);
    assert.ok(found, `labels: ${text}`);
    assert.ok(!(found[1]! in labels), `a label twice: ${text}`);
    labels[found[1]!] = found[2]!.replaceAll(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
  }
  return labels;
}

/** Fails on a line that Prometheus would refuse, on a metric whose lines do not stand together, and on a series that comes twice. */
export function parseExposition(text: string): Exposition {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  let current = '';
  assert.ok(text.endsWith('\n'));
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const head = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    if (head !== null) {
      if (head[1] !== 'TYPE') continue;
      assert.ok(!types.has(head[2]!), `TYPE of ${head[2]} twice`);
      types.set(head[2]!, head[3]!);
      current = head[2]!;
      continue;
    }
    assert.ok(!line.startsWith('#'), line);
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.eE+-]+|\+Inf|NaN)$/.exec(line);
    assert.ok(sample, `no sample: ${line}`);
    const base = types.get(current) === 'histogram' ? sample[1]!.replace(/_(bucket|sum|count)$/, '') : sample[1];
    assert.equal(base, current, `${line} stands below ${current}`);
    const key = line.slice(0, line.lastIndexOf(' '));
    assert.ok(!seen.has(key), `twice: ${key}`);
    seen.add(key);
    const value = sample[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(sample[3]);
    samples.push({ name: sample[1]!, labels: labelsOf(sample[2] ?? ''), value });
  }
  return { types, samples };
}

/** The one value of a metric with these labels. */
export function sampleOf(of: Exposition, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const found = of.samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}: ${found.length} series`);
  return found[0]!.value;
}
