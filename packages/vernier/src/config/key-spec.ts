/** What a configuration key may hold, and what it means: the command checks with it and the reference is written from it. */
export interface KeySpec {
  kind: 'boolean' | 'integer' | 'number' | 'text' | 'choice';
  /** What the key does, one sentence without the unit. */
  meaning: string;
  /** Of a choice: every value that is accepted. */
  allowed?: readonly string[];
  /** Of numbers: the smallest and largest value that is accepted. */
  min?: number;
  max?: number;
  /** ms, bytes, hours, percent, pages … */
  unit?: string;
  /** Not a key of RocketMQ. */
  own?: true;
  /** Where our default is not RocketMQ's: RocketMQ's value. */
  rocketmqDefault?: string;
}

export type ConfigValue = string | number | boolean;

export const flag = (meaning: string, rest: Partial<KeySpec> = {}): KeySpec => ({ kind: 'boolean', meaning, ...rest });
export const text = (meaning: string, rest: Partial<KeySpec> = {}): KeySpec => ({ kind: 'text', meaning, ...rest });
export const choice = (allowed: readonly string[], meaning: string, rest: Partial<KeySpec> = {}): KeySpec => ({
  kind: 'choice',
  allowed,
  meaning,
  ...rest,
});
export const integer = (
  unit: string,
  min: number,
  max: number,
  meaning: string,
  rest: Partial<KeySpec> = {},
): KeySpec => ({ kind: 'integer', unit, min, max, meaning, ...rest });
/** A time of at most an hour, unless `rest` says another: above 31 bits a timer would fire at once. */
export const milliseconds = (min: number, meaning: string, rest: Partial<KeySpec> = {}): KeySpec =>
  integer('ms', min, 3_600_000, meaning, rest);

/** Why `raw` is no value for this key, or its value. */
export function parseValue(spec: KeySpec, raw: string): { value: ConfigValue } | { problem: string } {
  const trimmed = raw.trim();
  switch (spec.kind) {
    case 'text':
      return { value: trimmed };
    case 'boolean':
      // Java reads everything but "true" as false, so that `ture` switches a setting off without a word. Not here.
      if (/^(true|false)$/i.test(trimmed)) return { value: trimmed.toLowerCase() === 'true' };
      return { problem: 'allowed are true and false' };
    case 'choice':
      if (spec.allowed?.includes(trimmed)) return { value: trimmed };
      return { problem: `allowed ${spec.allowed?.length === 1 ? 'is only' : 'are'} ${spec.allowed?.join(', ')}` };
    case 'integer':
    case 'number': {
      const pattern = spec.kind === 'integer' ? /^[+-]?\d+$/ : /^[+-]?\d+(\.\d+)?$/;
      const value = Number(trimmed);
      const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = spec;
      if (!pattern.test(trimmed) || value < min || value > max) return { problem: `allowed are ${rangeOf(spec)}` };
      return { value };
    }
  }
}

/** `whole numbers from 1 to 1024 (ms)` */
export function rangeOf(spec: KeySpec): string {
  const what = spec.kind === 'integer' ? 'whole numbers' : 'numbers';
  const from = spec.min === undefined ? '' : ` from ${spec.min}`;
  const to = spec.max === undefined || spec.max === Number.MAX_SAFE_INTEGER ? '' : ` to ${spec.max}`;
  return `${what}${from}${to}${spec.unit === undefined ? '' : ` (${spec.unit})`}`;
}
