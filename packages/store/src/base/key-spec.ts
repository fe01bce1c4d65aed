/**
 * What a configuration key may hold and what it means. One entry of a table of keys serves everybody who takes a value
 * for it: a file, `--set`, a request, the options of an embedding program; the reference is written from it too.
 */

export type ConfigValue = string | number | boolean;

export interface KeySpec<T extends ConfigValue = ConfigValue> {
  readonly kind: 'boolean' | 'integer' | 'choice' | 'text';
  readonly default: T;
  /** What the key does, one sentence without the unit. */
  readonly meaning: string;
  /** Of a choice: every value that is accepted. */
  readonly allowed?: readonly string[];
  /** Of an integer: the smallest and the largest value that is accepted. */
  readonly min?: number;
  readonly max?: number;
  /** Of an integer: the value is a multiple of this. */
  readonly multipleOf?: number;
  /** Of an integer: only these. */
  readonly values?: readonly number[];
  /** ms, bytes, hours, percent, pages … */
  readonly unit?: string;
  /** Of a text: what it has to look like. */
  readonly form?: TextForm;
  /** A change counts from its next use on while the broker runs. Without it a change needs a restart. */
  readonly changeable?: true;
  /** The value is shown to nobody: not in answers, messages and logs. */
  readonly secret?: true;
  /** Not a key of RocketMQ. */
  readonly own?: true;
  /** Where our default is not RocketMQ's: RocketMQ's value. */
  readonly rocketmqDefault?: string;
}

export interface TextForm {
  /** What is accepted, to follow "allowed is": `a host name or an IP address`. */
  readonly values: string;
  /** Characters (UTF-16 units) at most. */
  readonly lengthMax: number;
  /** What is wrong with a text of at most that length; undefined when nothing is. */
  fault(text: string): string | undefined;
}

type More<T extends ConfigValue> = Partial<Pick<KeySpec<T>, 'changeable' | 'own' | 'rocketmqDefault' | 'secret'>>;

export const flag = (fallback: boolean, meaning: string, more: More<boolean> = {}): KeySpec<boolean> => ({
  kind: 'boolean',
  default: fallback,
  meaning,
  ...more,
});

export const choice = <T extends string>(
  allowed: readonly T[],
  fallback: NoInfer<T>,
  meaning: string,
  more: More<T> = {},
): KeySpec<T> => ({ kind: 'choice', default: fallback, allowed, meaning, ...more });

/** A whole number from `min` to `max`. */
export const integer = (
  [min, max]: readonly [min: number, max: number],
  unit: string,
  fallback: number,
  meaning: string,
  more: More<number> & Pick<KeySpec<number>, 'multipleOf' | 'values'> = {},
): KeySpec<number> => ({ kind: 'integer', min, max, unit, default: fallback, meaning, ...more });

const AN_HOUR_MS = 3_600_000;
export const A_DAY_MS = 86_400_000;

/** A time of `min` to `max` milliseconds, an hour unless it says more: a timer of 2^31 ms and above fires at once. */
export const milliseconds = (
  [min, max = AN_HOUR_MS]: readonly [min: number, max?: number],
  fallback: number,
  meaning: string,
  more: More<number> = {},
): KeySpec<number> => integer([min, max], 'ms', fallback, meaning, more);

export const text = (form: TextForm, fallback: string, meaning: string, more: More<string> = {}): KeySpec<string> => ({
  kind: 'text',
  form,
  default: fallback,
  meaning,
  ...more,
});

/** What the key accepts: `whole numbers from 1 to 1024 (ms)`. */
export function allowedValues(spec: KeySpec): string {
  switch (spec.kind) {
    case 'boolean':
      return 'true and false';
    case 'choice':
      return (spec.allowed ?? []).join(', ');
    case 'text':
      return spec.form?.values ?? 'text';
    case 'integer': {
      const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER, multipleOf, unit, values } = spec;
      if (values !== undefined) return `${values.join(', ')}${unit ? ` (${unit})` : ''}`;
      const to = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
      const step = multipleOf === undefined ? '' : `, multiples of ${multipleOf}`;
      return `whole numbers from ${min}${to}${step}${unit ? ` (${unit})` : ''}`;
    }
  }
}

/** Why the key cannot have this value, undefined when it can: `allowed are whole numbers from 1 to 1024 (ms)`. */
export function valueProblem(spec: KeySpec, value: unknown): string | undefined {
  switch (spec.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? undefined : refusal(spec);
    case 'choice':
      return typeof value === 'string' && spec.allowed?.includes(value) ? undefined : refusal(spec);
    case 'integer': {
      const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER, multipleOf = 1 } = spec;
      const fits = Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
      const isOne = spec.values?.includes(value as number) ?? true;
      return fits && (value as number) % multipleOf === 0 && isOne ? undefined : refusal(spec);
    }
    case 'text': {
      if (typeof value !== 'string') return refusal(spec);
      const { lengthMax = Number.POSITIVE_INFINITY } = spec.form ?? {};
      if (value.length > lengthMax) return `${refusal(spec)}; it has ${value.length} characters, at most ${lengthMax}`;
      const fault = spec.form?.fault(value);
      return fault === undefined ? undefined : `${refusal(spec)}; ${fault}`;
    }
  }
}

function refusal(spec: KeySpec): string {
  const one = spec.kind === 'text' || (spec.kind === 'choice' && spec.allowed?.length === 1);
  return `allowed ${one ? 'is' : 'are'} ${one && spec.kind === 'choice' ? 'only ' : ''}${allowedValues(spec)}`;
}

/**
 * The value that a text stands for, as a file, `--set` or a request has it, or why the key cannot have it. Blanks around
 * it do not count. Java reads every boolean but "true" as false, so that `ture` switches a setting off without a word;
 * here it is refused.
 */
export function parseValue(spec: KeySpec, raw: string): { value: ConfigValue } | { problem: string } {
  const value = typedValue(spec, raw.trim());
  const problem = valueProblem(spec, value);
  if (problem === undefined) return { value };
  // Java's properties have no comments behind a value: `brokerIP1=10.1.2.3 # host` is all of it.
  return { problem: /\s[#!]/.test(raw) ? `${problem}; a comment needs a line of its own` : problem };
}

function typedValue(spec: KeySpec, trimmed: string): ConfigValue {
  if (spec.kind === 'boolean' && /^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true';
  // At most 16 digits are exact; more are out of every range, and so is the number they become.
  if (spec.kind === 'integer' && /^[+-]?\d{1,300}$/.test(trimmed)) return Number(trimmed) + 0;
  return trimmed;
}

const SHOWN_LENGTH_MAX = 120;

/** A value as a message shows it: on one line, and not longer than a line. */
export function shownValue(value: unknown): string {
  let shown: string;
  try {
    shown = typeof value === 'object' && value !== null ? `a value of type ${kindOf(value)}` : String(value);
  } catch {
    shown = 'a value that cannot be shown';
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal or a log line
  shown = shown.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return shown.length > SHOWN_LENGTH_MAX ? `${shown.slice(0, SHOWN_LENGTH_MAX)}…` : shown;
}

const kindOf = (value: object): string => (Array.isArray(value) ? 'array' : 'object');

/** Every default of a table, as a configuration. */
export function defaultsOf<C extends object>(keys: KeyTable<C>): C {
  const defaults = Object.entries<KeySpec>(keys).map(([key, spec]) => [key, spec.default]);
  return Object.fromEntries(defaults) as C;
}

/** One spec for each member of a configuration. */
export type KeyTable<C extends object> = { readonly [K in keyof C]: KeySpec<Extract<C[K], ConfigValue>> };

/** The spec of a key of the table; undefined for any other name, `constructor` too. */
export function specOf(keys: object, key: string): KeySpec | undefined {
  return Object.hasOwn(keys, key) ? (keys as Record<string, KeySpec>)[key] : undefined;
}
