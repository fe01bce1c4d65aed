import { asObject, encodeProperties } from '@vernier/remoting';
import { StoreError, type StoreLogger } from '@vernier/store';
import { type ConfigValue, type KeySpec, parseValue, shownValue, valueProblem } from '@vernier/store/internal';

/** Why a request to change settings was refused; nothing was changed then. */
export type SettingsRefusal = 'nothing-to-change' | 'unknown-key' | 'needs-restart' | 'value-not-allowed';

export type SettingsChange =
  | { refusal: SettingsRefusal; reason: string; changed?: undefined }
  /** `unknown`: names the keys beside the changed ones that nothing here knows, left out as RocketMQ leaves them out. */
  | { refusal?: undefined; changed: string[]; unknown: string | undefined };

/** A value that an operator set while it ran, and the one that the start had in its place. */
interface SavedChange {
  value: ConfigValue;
  over: ConfigValue;
}

export interface RunningSettingsDeps {
  /** The file that the changes are kept in, for messages. */
  fileName: string;
  spec(key: string): KeySpec | undefined;
  /** The value in force of a key that has a spec. */
  value(key: string): unknown;
  /** Every key with the value in force. */
  entries(): Iterable<readonly [key: string, value: unknown]>;
  /** Puts values in force, all of them or none; they are allowed each by itself. Throws StoreError when not together. */
  apply(changes: ReadonlyMap<string, ConfigValue>): void;
  /** These were changed, and the file has to be written. */
  changed(keys: readonly string[]): void;
  logger: StoreLogger;
}

/**
 * The settings of a running server (RocketMQ Configuration): what they are, and the ones that may change while it runs. A
 * change holds over restarts until somebody changes the same key elsewhere: it is kept with the value that the start had,
 * and a start with another value, from a changed file or command line, goes before it.
 */
export class RunningSettings {
  readonly #deps: RunningSettingsDeps;
  readonly #saved = new Map<string, SavedChange>();
  #changeCount = 0;

  constructor(deps: RunningSettingsDeps) {
    this.#deps = deps;
  }

  /** How often something was changed since the start. */
  get changeCount(): number {
    return this.#changeCount;
  }

  /** Every key with its value but secrets, as properties text in the order of the keys. */
  text(): string {
    const shown = [...this.#deps.entries()].filter(([key]) => this.#deps.spec(key)?.secret !== true);
    const sorted = shown.toSorted(([a], [b]) => (a < b ? -1 : 1));
    return encodeProperties(new Map(sorted.map(([key, value]) => [key, String(value)])));
  }

  /**
   * Changes all of the given keys or none. In memory when it returns; whoever answers an operator waits for the file.
   * Keys that nothing here knows are left out when there are others.
   */
  change(properties: ReadonlyMap<string, string>): SettingsChange {
    if (properties.size === 0) return refused('nothing-to-change', 'the body holds no properties');
    const changes = new Map<string, ConfigValue>();
    const unknown: string[] = [];
    const fixed: string[] = [];
    const problems: string[] = [];
    for (const [key, raw] of properties) {
      const spec = this.#deps.spec(key);
      if (spec === undefined) {
        unknown.push(shownValue(key));
        continue;
      }
      const parsed = parseValue(spec, raw);
      if ('problem' in parsed) {
        problems.push(`${key}=${spec.secret === true ? 'a secret' : shownValue(raw)}: ${parsed.problem}`);
      }
      // Whoever sends back what he was given changes nothing with a key that cannot be changed.
      else if (!spec.changeable && parsed.value !== this.#deps.value(key)) fixed.push(key);
      else if (spec.changeable) changes.set(key, parsed.value);
    }
    if (problems.length > 0) return refused('value-not-allowed', firstOf(problems, '; '));
    if (fixed.length > 0) return refused('needs-restart', `${firstOf(fixed)} can only be set at start`);
    if (changes.size === 0 && unknown.length > 0) {
      return refused('unknown-key', `${firstOf(unknown)}: there is no such key here`);
    }
    try {
      this.#apply(changes);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return refused('value-not-allowed', error.message);
    }
    this.#changeCount++;
    const left = unknown.length === 0 ? undefined : `there is no such key here: ${firstOf(unknown)}`;
    return { changed: [...changes.keys()], unknown: left };
  }

  /** Takes over a parsed file of saved changes and puts them in force. Throws REMOTING_BODY_INVALID when it is none. */
  load(file: unknown): void {
    const { logger } = this.#deps;
    const changes = new Map<string, ConfigValue>();
    for (const [key, saved] of Object.entries(asObject(asObject(file, this.#deps.fileName).changes, 'changes'))) {
      const { value, over } = asObject(saved, key);
      const spec = this.#deps.spec(key);
      if (spec?.changeable === undefined || valueProblem(spec, value) !== undefined) {
        logger.warn({ key, value: shownValue(value) }, `${shownValue(key)}, set while it ran, is not used here`);
        continue;
      }
      const atStart = this.#deps.value(key);
      if (over !== atStart) {
        const message = `${key}=${shownValue(value)}, set while it ran, gives way to ${key}=${atStart} of this start`;
        logger.warn({ key, value, atStart }, message);
        continue;
      }
      logger.warn({ key, value, atStart }, `${key}=${value}, set while it ran, goes before ${key}=${atStart}`);
      changes.set(key, value as ConfigValue);
    }
    try {
      this.#apply(changes);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      logger.warn({ err: error }, `what was set while it ran does not go with this start: ${error.message}`);
    }
  }

  /** The file of the changes. */
  *encode(): Iterable<string> {
    yield `${JSON.stringify({ changes: Object.fromEntries(this.#saved) }, undefined, '\t')}\n`;
  }

  #apply(changes: ReadonlyMap<string, ConfigValue>): void {
    const before = new Map([...changes.keys()].map((key) => [key, this.#deps.value(key) as ConfigValue]));
    this.#deps.apply(changes);
    for (const [key, value] of changes) {
      const over = this.#saved.get(key)?.over ?? before.get(key)!;
      if (value === over) this.#saved.delete(key);
      else this.#saved.set(key, { value, over });
    }
    this.#deps.changed([...changes.keys()]);
  }
}

const NAMED_MAX = 20;

/** As many as a line of a log or a remark takes. */
function firstOf(items: readonly string[], separator = ', '): string {
  const more = items.length > NAMED_MAX ? `${separator}and ${items.length - NAMED_MAX} more` : '';
  return `${items.slice(0, NAMED_MAX).join(separator)}${more}`;
}

const refused = (refusal: SettingsRefusal, reason: string): SettingsChange => ({
  refusal,
  reason: `${reason}; nothing was changed`,
});
