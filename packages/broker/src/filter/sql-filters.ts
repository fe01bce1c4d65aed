import type { MessageFilter, StoreLogger } from '@vernier/store';
import { checkMessageAndReturnSize, parseProperties, propertiesStringOf } from '@vernier/store/internal';
import type { BrokerConfig } from '../config.ts';
import { compile, type Selector, SelectorError } from './sql92/index.ts';

export const SQL92 = 'SQL92';

/** Compiled expressions that are kept; the oldest goes. A broker has one or a few a group. */
const SELECTORS_MAX = 1_000;
/** Their texts together, UTF-16 units: what a stranger sends must not fill the memory. */
const SELECTOR_CHARS_KEPT = 4 * 1024 * 1024;

/**
 * Filters of SQL92 subscriptions, each expression compiled once (RocketMQ ConsumerFilterManager). A message is matched by
 * its properties, in the record; what has none of them in the queue's entry is looked at too.
 */
export class SqlFilters {
  readonly #config: BrokerConfig;
  readonly #logger: StoreLogger;
  /** By expression; a text says why it is none. Oldest first. */
  readonly #known = new Map<string, MessageFilter | string>();
  #chars = 0;

  constructor(config: BrokerConfig, logger: StoreLogger) {
    this.#config = config;
    this.#logger = logger;
  }

  /** enablePropertyFilter: without it such subscriptions are refused. */
  get isEnabled(): boolean {
    return this.#config.enablePropertyFilter;
  }

  /** The filter, or what is wrong with the expression. */
  of(expression: string): MessageFilter | string {
    const known = this.#known.get(expression);
    if (known !== undefined) return known;
    const made = this.#make(expression);
    this.#known.set(expression, made);
    this.#chars += expression.length;
    for (const [oldest] of this.#known) {
      if (this.#known.size <= SELECTORS_MAX && this.#chars <= SELECTOR_CHARS_KEPT) break;
      this.#known.delete(oldest);
      this.#chars -= oldest.length;
    }
    return made;
  }

  #make(expression: string): MessageFilter | string {
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
      isMatchedByConsumeQueue: () => true,
      isMatchedByCommitLog: (record) => matchesRecord(selector, record),
    };
  }
}

function matchesRecord(selector: Selector, record: Buffer): boolean {
  const layout = checkMessageAndReturnSize(record, 0);
  if (layout.kind !== 'record') return false;
  const properties = parseProperties(propertiesStringOf(record, layout));
  return selector.matches((name) => properties.get(name));
}
