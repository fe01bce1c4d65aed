/** Topic attributes (RocketMQ TopicAttributes, AttributeParser, AttributeUtil): kept in topics.json, changed by `+key=value,-key`. */

interface AttributeKind {
  changeable: boolean;
  /** What is wrong with a value, undefined when nothing is. */
  fault(value: string): string | undefined;
}

const oneOf = (...allowed: readonly string[]): AttributeKind['fault'] => {
  return (value) => (allowed.includes(value) ? undefined : `must be one of ${allowed.join(', ')}`);
};

const attributeKinds: ReadonlyMap<string, AttributeKind> = new Map([
  ['queue.type', { changeable: false, fault: oneOf('BatchCQ', 'SimpleCQ') }],
  ['cleanup.policy', { changeable: false, fault: oneOf('DELETE', 'COMPACTION') }],
  [
    'message.type',
    { changeable: true, fault: oneOf('UNSPECIFIED', 'NORMAL', 'FIFO', 'DELAY', 'TRANSACTION', 'MIXED') },
  ],
  [
    'reserve.time',
    {
      changeable: true,
      fault: (value) =>
        /^-?\d+$/.test(value) && Number(value) >= -1 ? undefined : 'must be a whole number, -1 or more',
    },
  ],
]);

export type TopicAttributes = Map<string, string>;

export type AttributeChange =
  | { attributes: TopicAttributes; fault?: undefined }
  | { attributes?: undefined; fault: string };

/**
 * The attributes after `modification` (`+key=value,-key`; empty or undefined changes nothing), or what is wrong with it.
 * `current` is undefined for a topic that does not exist yet: then only `+` makes sense.
 */
export function alterAttributes(
  current: ReadonlyMap<string, string> | undefined,
  modification: string | undefined,
): AttributeChange {
  const attributes = new Map(current);
  if (modification === undefined || modification.trim() === '') return { attributes };
  const seen = new Set<string>();
  for (const part of modification.split(',')) {
    const sign = part[0];
    const separator = part.indexOf('=');
    const adds = sign === '+';
    if ((!adds && sign !== '-') || adds !== separator > 0) {
      return { fault: `add/alter attribute format is wrong: ${part}; expected +key=value or -key` };
    }
    const key = adds ? part.slice(1, separator).trim() : part.slice(1).trim();
    const kind = attributeKinds.get(key);
    if (kind === undefined) return { fault: `unsupported key: ${key}` };
    if (seen.has(key)) return { fault: `key duplication: ${key}` };
    seen.add(key);
    if (current !== undefined && !kind.changeable) {
      return { fault: `attempt to update an unchangeable attribute. key: ${key}` };
    }
    if (adds) {
      const value = part.slice(separator + 1).trim();
      const fault = kind.fault(value);
      if (fault !== undefined) return { fault: `attribute ${key}=${value}: ${fault}` };
      attributes.set(key, value);
    } else {
      if (!attributes.delete(key)) return { fault: `attempt to delete a nonexistent key: ${key}` };
    }
  }
  return { attributes };
}
