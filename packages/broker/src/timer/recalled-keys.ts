import { createHash } from 'node:crypto';

/** Memory of one slot's recalls; those beyond it have no effect. */
const RECALL_BYTES_MAX = 16 * 1024 * 1024;
const DIGEST_BYTES = 16;
/** A digest in a set. */
const ENTRY_BYTES = 96;

/**
 * What the recalls of a slot name: a message's topic and key, as digests, so that long keys of some take no room away from
 * others. RocketMQ up to 5.3 writes the topic in front of the key, later ones do not.
 */
export class RecalledKeys {
  readonly #keys = new Set<string>();
  leftOut = 0;

  add(properties: ReadonlyMap<string, string> | undefined): void {
    const key = properties?.get('TIMER_DEL_UNIQKEY');
    if (key === undefined) return;
    const named = digestOf(`${properties!.get('REAL_TOPIC')} ${key}`);
    if (this.#keys.has(named)) return;
    if ((this.#keys.size + 1) * ENTRY_BYTES > RECALL_BYTES_MAX) this.leftOut++;
    else this.#keys.add(named);
  }

  has(properties: ReadonlyMap<string, string>): boolean {
    const key = properties.get('UNIQ_KEY');
    if (this.#keys.size === 0 || key === undefined) return false;
    const topic = properties.get('REAL_TOPIC');
    return this.#keys.has(digestOf(`${topic} ${key}`)) || this.#keys.has(digestOf(`${topic} ${topic}+${key}`));
  }
}

const digestOf = (text: string): string =>
  createHash('sha256').update(text).digest().toString('latin1', 0, DIGEST_BYTES);
