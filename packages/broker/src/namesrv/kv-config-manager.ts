import { dirname, join } from 'node:path';
import { asObject, parseJavaJson, stringMap } from '@vernier/remoting';
import { type StoreLogger, silentLogger } from '@vernier/store';
import { NodeFileSystem, readAtomic, writeAtomic } from '@vernier/store/internal';

/** KV namespace of ordered topics: topic → `brokerName:queueNum;…`. */
export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG';

/**
 * Namespaces of names and values (RocketMQ KVConfigManager), kept in `kvConfig.json` of a directory when there is one,
 * as `{configTable:{<namespace>:{<key>:<value>}}}`; otherwise in memory alone.
 */
export class KVConfigManager {
  readonly #path: string | undefined;
  readonly #logger: StoreLogger;
  readonly #fileSystem = new NodeFileSystem();
  readonly #table = new Map<string, Map<string, string>>();
  #writing: Promise<void> = Promise.resolve();

  constructor(directory?: string, logger: StoreLogger = silentLogger) {
    this.#path = directory === undefined ? undefined : join(directory, 'kvConfig.json');
    this.#logger = logger;
  }

  /**
   * Reads the file, or its `.bak` with a line in the log; a missing one is an empty table. Rejects with
   * STORE_METADATA_DAMAGED when what is there cannot be used; the files are left as they are.
   */
  async load(): Promise<void> {
    if (this.#path === undefined) return;
    const table = await readAtomic(this.#fileSystem, this.#path, tableFrom, this.#logger);
    for (const [namespace, entries] of table ?? []) this.#table.set(namespace, entries);
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
    const write = this.#writing.then(async () => {
      await this.#fileSystem.makeDirectory(dirname(path));
      await writeAtomic(this.#fileSystem, path, this.#text());
    });
    this.#writing = write.catch(() => {});
    return write;
  }

  #text(): string {
    const namespaces = [...this.#table].map(([namespace, entries]) => [namespace, Object.fromEntries(entries)]);
    return `${JSON.stringify({ configTable: Object.fromEntries(namespaces) }, undefined, '\t')}\n`;
  }
}

/** Throws for what is no such file; a half of it must not be taken for the whole. */
function tableFrom(content: Buffer): Map<string, Map<string, string>> {
  const file = asObject(parseJavaJson(content.toString('utf8')), 'kvConfig.json');
  const namespaces = Object.entries(asObject(file.configTable, 'configTable'));
  return new Map(namespaces.map(([namespace, entries]) => [namespace, stringMap(entries, namespace)]));
}
