import { ResponseCode } from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { checkMessageAndReturnSize, parseProperties, propertiesStringOf } from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { ALL_CHARS_A_SECOND, CompileBudget, SOURCE_CHARS_A_SECOND, sourceOf } from './compile-budget.ts';
import type { SizedFilter } from './sized-filter.ts';
import { compile, SELECTOR_CHARS_MAX, type Selector, SelectorError } from './sql92/index.ts';

export const SQL92 = 'SQL92';

/** Compiled expressions that are kept, a short one takes 2 KiB; the one that nobody asked for longest goes. */
const SELECTOR_BYTES_KEPT = 64 * 1024 * 1024;
/** As many go at once when it is full: a Map looks for its first entry behind all that have gone before it. */
const SELECTOR_BYTES_FREED = SELECTOR_BYTES_KEPT / 64;

/** The filter, or what is wrong with the expression. */
type Known = SizedFilter | string;

/**
 * Filters of SQL92 subscriptions, each expression compiled once (RocketMQ ConsumerFilterManager). A message is matched by
 * its properties, in the record; what has none of them in the queue's entry is looked at too.
 */
export class SqlFilters {
  readonly #config: BrokerConfig;
  readonly #logger: StoreLogger;
  /** By expression. The longest unused first. */
  readonly #known = new Map<string, Known>();
  readonly #budget: CompileBudget;
  #bytes = 0;

  constructor(config: BrokerConfig, logger: StoreLogger, clock: Clock) {
    this.#config = config;
    this.#logger = logger;
    this.#budget = new CompileBudget(clock);
  }

  /** enablePropertyFilter: without it such subscriptions are refused. */
  get isEnabled(): boolean {
    return this.#config.enablePropertyFilter;
  }

  /**
   * The filter, or what is wrong with the expression. One that is not known waits for the caller's budget when that is
   * spent, up to COMPILE_WAIT_MS; a refusal when there is none then either.
   */
  of(expression: string, caller: Pick<Caller, 'host'>): Known | Refusal | Promise<Known | Refusal> {
    const known = this.#find(expression);
    if (known !== undefined) return known;
    const chars = expression.length;
    // It is refused unread, and not kept.
    if (chars > SELECTOR_CHARS_MAX) return this.#make(expression);
    let done: (isRefused: boolean) => void = () => {};
    const isKnown = (): boolean => this.#known.has(expression);
    const answer = this.#budget.ask(sourceOf(caller), { chars, isKnown, done: (isRefused) => done(isRefused) });
    if (answer === 'now') return this.#add(expression);
    if (answer === 'refused') return busy(chars);
    return new Promise((resolve, reject) => {
      done = (isRefused) => {
        try {
          resolve(this.#find(expression) ?? (isRefused ? busy(chars) : this.#add(expression)));
        } catch (error) {
          reject(error);
        }
      };
    });
  }

  #find(expression: string): Known | undefined {
    const known = this.#known.get(expression);
    if (known === undefined) return undefined;
    this.#known.delete(expression);
    this.#known.set(expression, known);
    return known;
  }

  #add(expression: string): Known {
    const made = this.#make(expression);
    this.#known.set(expression, made);
    this.#bytes += bytesOf(expression, made);
    if (this.#bytes <= SELECTOR_BYTES_KEPT) return made;
    for (const [unused, filter] of this.#known) {
      if (this.#bytes <= SELECTOR_BYTES_KEPT - SELECTOR_BYTES_FREED) break;
      this.#known.delete(unused);
      this.#bytes -= bytesOf(unused, filter);
    }
    return made;
  }

  #make(expression: string): Known {
    let selector: Selector;
    try {
      selector = compile(expression, this.#config.strictPropertyFilter);
    } catch (error) {
      if (error instanceof SelectorError) return error.message;
      throw error;
    }
    const { ignoredTail } = selector;
    if (ignoredTail !== '') {
      this.#logger.warn(
        { ignoredTail, expression: expression.slice(0, 256) },
        `SQL92: ${JSON.stringify(ignoredTail)} behind the end of an expression is ignored, as RocketMQ ignores it`,
      );
    }
    return {
      bytes: selector.bytes,
      isMatchedByConsumeQueue: () => true,
      isMatchedByCommitLog: (record) => matchesRecord(selector, record),
    };
  }
}

const busy = (chars: number): Refusal =>
  new Refusal(
    ResponseCode.SYSTEM_BUSY,
    `no new expression of ${chars} characters now: ${SOURCE_CHARS_A_SECOND} a second are compiled for an address, ` +
      `${ALL_CHARS_A_SECOND} for all`,
  );

/** What keeping it takes, or why it is none. */
const bytesOf = (expression: string, made: Known): number =>
  typeof made === 'string' ? 200 + 2 * (expression.length + made.length) : made.bytes;

function matchesRecord(selector: Selector, record: Buffer): boolean {
  const layout = checkMessageAndReturnSize(record, 0);
  if (layout.kind !== 'record') return false;
  const properties = parseProperties(propertiesStringOf(record, layout));
  return selector.matches((name) => properties.get(name));
}
