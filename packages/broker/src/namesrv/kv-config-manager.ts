import { join } from 'node:path';
import { asObject, parseJavaJson, stringMap } from '@vernier/remoting';
import { readWhole, replaceFile } from './kv-config-file.ts';

/** KV namespace of ordered topics: topic → `brokerName:queueNum;…`. */
export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG';

/**
 * Namespaces of names and values (RocketMQ KVConfigManager), kept in `kvConfig.json` of a directory when there is one,
 * as `{configTable:{<namespace>:{<key>:<value>}}}`; otherwise in memory alone.
 */
export class KVConfigManager {
  readonly #path: string | undefined;
  readonly #table = new Map<string, Map<string, string>>();
  #writing: Promise<void> = Promise.resolve();

  constructor(directory?: string) {
    this.#path = directory === undefined ? undefined : join(directory, 'kvConfig.json');
  }

  /** Reads the file; a missing one is an empty table. Rejects when it is there and cannot be read or parsed. */
  async load(): Promise<void> {
    const text = this.#path === undefined ? undefined : await readWhole(this.#path);
    if (text === undefined) return;
    const table = asObject(asObject(parseJavaJson(text), 'kvConfig.json').configTable, 'configTable');
    for (const [namespace, entries] of Object.entries(table)) this.#table.set(namespace, stringMap(entries, namespace));
  }

  get(namespace: string, key: string): string | undefined {
    return this.#table.get(namespace)?.get(key);
  }

  /** All of a namespace; undefined when there is no such namespace. */
  list(namespace: string): ReadonlyMap<string, string> | undefined {
    return this.#table.get(namespace);
  }

  /** Resolves when the change is *on disk* (with a directory). Until the next start it counts even if that fails. */
  put(namespace: string, key: string, value: string): Promise<void> {
    const entries = this.#table.get(namespace);
    if (entries === undefined) this.#table.set(namespace, new Map([[key, value]]));
    else entries.set(key, value);
    return this.#persist();
  }

  /** As `put`. */
  delete(namespace: string, key: string): Promise<void> {
    this.#table.get(namespace)?.delete(key);
    return this.#persist();
  }

  /** One write after another, each of the table as it is when its turn comes. */
  #persist(): Promise<void> {
    const path = this.#path;
    if (path === undefined) return Promise.resolve();
    const write = this.#writing.then(() => replaceFile(path, this.#text()));
    this.#writing = write.catch(() => {});
    return write;
  }

  #text(): string {
    const namespaces = [...this.#table].map(([namespace, entries]) => [namespace, Object.fromEntries(entries)]);
    return `${JSON.stringify({ configTable: Object.fromEntries(namespaces) }, undefined, '\t')}\n`;
  }
}
