/**
 * Lite topics (RocketMQ LiteUtil): a topic of the type LITE has any number of them, which nobody makes. Each is the light queue
 * `%LMQ%$parent$lite`; a message names one in its property __LITE_TOPIC.
 */
export const LITE_PREFIX = '%LMQ%$';
const SEPARATOR = '$';

export const lmqOf = (parent: string, lite: string): string => LITE_PREFIX + parent + SEPARATOR + lite;

/** What all light queues of a topic begin with. */
export const prefixOf = (parent: string): string => LITE_PREFIX + parent + SEPARATOR;

export interface LiteName {
  readonly parent: string;
  readonly lite: string;
}

/** Undefined for a light queue that is no lite topic. */
export function liteNameOf(lmq: string): LiteName | undefined {
  if (!lmq.startsWith(LITE_PREFIX)) return undefined;
  const at = lmq.indexOf(SEPARATOR, LITE_PREFIX.length);
  const parent = lmq.slice(LITE_PREFIX.length, at);
  const lite = lmq.slice(at + 1);
  return at < 0 || parent === '' || lite === '' || lite.includes(SEPARATOR) ? undefined : { parent, lite };
}

/** What is wrong with the name of a lite topic; undefined when nothing is. The store looks at the rest. */
export function liteTopicFault(lite: string): string | undefined {
  if (lite.trim() === '') return 'the lite topic is blank';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these part properties from each other
  if (/[$,\u0000-\u0002]/.test(lite)) return `the lite topic ${JSON.stringify(lite.slice(0, 127))} holds $ or ,`;
  return undefined;
}
