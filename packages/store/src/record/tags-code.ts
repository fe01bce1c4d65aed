/**
 * Java's String.hashCode over UTF-16 code units, continued from `hash` (0 to start): s[0]·31^(n−1) + …, wrapped to 32
 * bits, signed. `from` and `to` bound the part of `text` that counts.
 */
export function javaStringHashCode(text: string, hash = 0, from = 0, to = text.length): number {
  let result = hash;
  for (let index = from; index < to; index++) result = (Math.imul(result, 31) + text.charCodeAt(index)) | 0;
  return result;
}

/** Tags repeat, so the cache almost always hits; the bound only matters to whoever sends a different tag each time. */
const CACHED_TAGS_MAX = 4_096;
/** Longer tags are hashed each time: the cache must not hold what a client sends at will. */
const CACHED_TAG_LENGTH_MAX = 128;
const cache = new Map<string, number>();

/** What a consume-queue entry keeps of the TAGS property (RocketMQ MessageExtBrokerInner.tagsString2tagsCode): the Java
 * hash, negative when its sign bit is set; 0 without tags. */
export function tagsStringToTagsCode(tags: string | undefined): number {
  if (tags === undefined || tags.length === 0) return 0;
  const known = cache.get(tags);
  if (known !== undefined) return known;
  const code = javaStringHashCode(tags);
  if (tags.length <= CACHED_TAG_LENGTH_MAX) {
    if (cache.size >= CACHED_TAGS_MAX) cache.clear();
    cache.set(tags, code);
  }
  return code;
}
