import { ResponseCode } from '@vernier/remoting';
import type { Clock, StoreLogger } from '@vernier/store';
import { checkMessageAndReturnSize, parseProperties, propertiesStringOf } from '@vernier/store/internal';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { COMPILE_CHARS_A_SECOND, CompileBudget } from './compile-budget.ts';
import type { SizedFilter } from './sized-filter.ts';
import { compile, type Selector, SelectorError } from './sql92/index.ts';

export const SQL92 = 'SQL92';

/** Compiled expressions that are kept; the oldest goes. A broker has one or a few a group. */
const SELECTORS_MAX = 1_000;
/** All of them together: what a stranger sends must not fill the memory. */
const SELECTOR_BYTES_KEPT = 64 * 1024 * 1024;

/**
 * Filters of SQL92 subscriptions, each expression compiled once (RocketMQ ConsumerFilterManager). A message is matched by
 * its properties, in the record; what has none of them in the queue's entry is looked at too.
 */
export class SqlFilters {
  readonly #config: BrokerConfig;
  readonly #logger: StoreLogger;
  /** By expression; a text says why it is none. Oldest first. */
  readonly #known = new Map<string, SizedFilter | string>();
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

  /** The filter, or what is wrong with the expression; a refusal when too many others are compiled now. */
  of(expression: string): SizedFilter | string | Refusal {
    const known = this.#known.get(expression);
    if (known !== undefined) return known;
    if (!this.#budget.take(expression.length)) {
      const remark = `no new expression of ${expression.length} characters now: ${COMPILE_CHARS_A_SECOND} a second are compiled`;
      return new Refusal(ResponseCode.SYSTEM_BUSY, remark);
    }
    const made = this.#make(expression);
    this.#known.set(expression, made);
    this.#bytes += bytesOf(expression, made);
    for (const [oldest, filter] of this.#known) {
      if (this.#known.size <= SELECTORS_MAX && this.#bytes <= SELECTOR_BYTES_KEPT) break;
      this.#known.delete(oldest);
      this.#bytes -= bytesOf(oldest, filter);
    }
    return made;
  }

  #make(expression: string): SizedFilter | string {
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

/** What keeping it takes, or why it is none. */
const bytesOf = (expression: string, made: SizedFilter | string): number =>
  typeof made === 'string' ? 200 + 2 * (expression.length + made.length) : made.bytes;

function matchesRecord(selector: Selector, record: Buffer): boolean {
  const layout = checkMessageAndReturnSize(record, 0);
  if (layout.kind !== 'record') return false;
  const properties = parseProperties(propertiesStringOf(record, layout));
  return selector.matches((name) => properties.get(name));
}
