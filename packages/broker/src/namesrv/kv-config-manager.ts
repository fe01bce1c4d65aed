import { dirname, join } from 'node:path';
import { asObject, parseJavaJson, stringMap } from '@vernier/remoting';
import { type StoreLogger, silentLogger } from '@vernier/store';
import { Coalesced, NodeFileSystem, readAtomic, writeAtomic } from '@vernier/store/internal';

/** KV namespace of ordered topics: topic → `brokerName:queueNum;…`. */
export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG';

/** Namespaces and keys, in bytes: keys are topics. */
const NAME_BYTES_MAX = 255;
const VALUE_BYTES_MAX = 64 * 1024;
/** All names and values, in bytes. Each change writes all of them. */
const TABLE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Namespaces of names and values (RocketMQ KVConfigManager), kept in `kvConfig.json` of a directory when there is one,
 * as `{configTable:{<namespace>:{<key>:<value>}}}`; otherwise in memory alone.
 */
export class KVConfigManager {
  readonly #path: string | undefined;
  readonly #logger: StoreLogger;
  readonly #fileSystem = new NodeFileSystem();
  readonly #table = new Map<string, Map<string, string>>();
  readonly #write: Coalesced<void>;
  #bytes = 0;

  constructor(directory?: string, logger: StoreLogger = silentLogger) {
    this.#path = directory === undefined ? undefined : join(directory, 'kvConfig.json');
    this.#logger = logger;
    this.#write = new Coalesced(() => this.#writeFile());
  }

  /**
   * Reads the file, or its `.bak` with a line in the log; a missing one is an empty table. Rejects with
   * STORE_METADATA_DAMAGED when what is there cannot be used; the files are left as they are.
   */
  async load(): Promise<void> {
    if (this.#path === undefined) return;
    const table = await readAtomic(this.#fileSystem, this.#path, tableFrom, this.#logger);
    for (const [namespace, entries] of table ?? []) {
      this.#table.set(namespace, entries);
      for (const [key, value] of entries) this.#bytes += bytesOf(namespace, key, value);
    }
  }

  get(namespace: string, key: string): string | undefined {
    return this.#table.get(namespace)?.get(key);
  }

  /** All of a namespace; undefined when there is no such namespace. */
  list(namespace: string): ReadonlyMap<string, string> | undefined {
    return this.#table.get(namespace);
  }

  /** Why an entry cannot be put; undefined when it can. */
  fault(namespace: string, key: string, value: string): string | undefined {
    for (const [what, text, bytesMax] of [
      ['namespace', namespace, NAME_BYTES_MAX],
      ['key', key, NAME_BYTES_MAX],
      ['value', value, VALUE_BYTES_MAX],
    ] as const) {
      const bytes = Buffer.byteLength(text);
      if (bytes > bytesMax) return `the ${what} has ${bytes} bytes, at most ${bytesMax} are allowed`;
    }
    const known = this.get(namespace, key);
    const bytes =
      this.#bytes + bytesOf(namespace, key, value) - (known === undefined ? 0 : bytesOf(namespace, key, known));
    if (bytes <= TABLE_BYTES_MAX) return undefined;
    return `all names and values would have ${bytes} bytes, at most ${TABLE_BYTES_MAX} are allowed`;
  }

  /**
   * Puts an entry that has no `fault`. Resolves when the change is *on disk* (with a directory). Until the next start it
   * counts even if that fails.
   */
  put(namespace: string, key: string, value: string): Promise<void> {
    const entries = this.#table.get(namespace);
    const known = entries?.get(key);
    if (known !== undefined) this.#bytes -= bytesOf(namespace, key, known);
    this.#bytes += bytesOf(namespace, key, value);
    if (entries === undefined) this.#table.set(namespace, new Map([[key, value]]));
    else entries.set(key, value);
    return this.#persist();
  }

  /** As `put`. A namespace goes with its last key. */
  delete(namespace: string, key: string): Promise<void> {
    const entries = this.#table.get(namespace);
    const known = entries?.get(key);
    if (entries === undefined || known === undefined) return Promise.resolve();
    this.#bytes -= bytesOf(namespace, key, known);
    entries.delete(key);
    if (entries.size === 0) this.#table.delete(namespace);
    return this.#persist();
  }

  /** One write after another; changes that come while one is under way share the next. */
  #persist(): Promise<void> {
    return this.#path === undefined ? Promise.resolve() : this.#write.run();
  }

  async #writeFile(): Promise<void> {
    const path = this.#path as string;
    await this.#fileSystem.makeDirectory(dirname(path));
    await writeAtomic(this.#fileSystem, path, this.#text());
  }

  #text(): string {
    const namespaces = [...this.#table].map(([namespace, entries]) => [namespace, Object.fromEntries(entries)]);
    return `${JSON.stringify({ configTable: Object.fromEntries(namespaces) }, undefined, '\t')}\n`;
  }
}

function bytesOf(namespace: string, key: string, value: string): number {
  return Buffer.byteLength(namespace) + Buffer.byteLength(key) + Buffer.byteLength(value);
}

/** Throws for what is no such file; a half of it must not be taken for the whole. */
function tableFrom(content: Buffer): Map<string, Map<string, string>> {
  const file = asObject(parseJavaJson(content.toString('utf8')), 'kvConfig.json');
  const namespaces = Object.entries(asObject(file.configTable, 'configTable'));
  return new Map(namespaces.map(([namespace, entries]) => [namespace, stringMap(entries, namespace)]));
}
