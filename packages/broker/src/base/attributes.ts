/**
 * Attributes of topics and groups (RocketMQ AttributeParser, AttributeUtil): names with values, kept with the table, and
 * changed by a list of `+name=value` and `-name`.
 */

export interface AttributeKind {
  /** Also after the topic or group was made. */
  changeable: boolean;
  /** What is wrong with a value, undefined when nothing is. */
  fault(value: string): string | undefined;
}

export type AttributeKinds = ReadonlyMap<string, AttributeKind>;

export type Attributes = Map<string, string>;

export type AttributeChange =
  /** `added`: what the change gave a value to. */
  { attributes: Attributes; added: Attributes; fault?: undefined } | { attributes?: undefined; fault: string };

/** Attribute names with their signs, `+name` or `-name`, and the values of the former. */
export type SignedAttributes = readonly (readonly [signedName: string, value: string])[];

const LONG_MAX = 0x7fff_ffff_ffff_ffffn;
/** RocketMQ has no bound; the tables are written whole. */
const TEXT_LENGTH_MAX = 255;

export const oneOf =
  (...allowed: readonly string[]): AttributeKind['fault'] =>
  (value) =>
    allowed.includes(value) ? undefined : `must be one of ${allowed.join(', ')}`;

/** A Java long from `min` to `max`, as Long.parseLong reads it. */
export const wholeNumber =
  (min: bigint, max: bigint = LONG_MAX): AttributeKind['fault'] =>
  (value) => {
    const number = /^[+-]?\d{1,19}$/.test(value) ? BigInt(value.replace('+', '')) : undefined;
    const fits = number !== undefined && number >= min && number <= max;
    return fits ? undefined : `must be a whole number from ${min} to ${max}`;
  };

export const trueOrFalse: AttributeKind['fault'] = (value) =>
  /^(true|false)$/i.test(value) ? undefined : 'must be true or false';

export const shortText: AttributeKind['fault'] = (value) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get into a table
  value.length > 0 && value.length <= TEXT_LENGTH_MAX && !/[\u0000-\u001f\u007f]/.test(value)
    ? undefined
    : `must be text of 1 to ${TEXT_LENGTH_MAX} characters without control characters`;

/** Takes `+name=value,-name` apart; empty or undefined is no change. Otherwise what is wrong with it. */
export function parseSignedAttributes(text: string | undefined): SignedAttributes | string {
  if (text === undefined || text.trim() === '') return [];
  const changes: [string, string][] = [];
  for (const part of text.split(',')) {
    const separator = part.indexOf('=');
    const adds = part.startsWith('+');
    if ((!adds && !part.startsWith('-')) || adds !== separator > 0) {
      return `add/alter attribute format is wrong: ${part}; expected +key=value or -key`;
    }
    changes.push(adds ? [part.slice(0, separator).trim(), part.slice(separator + 1).trim()] : [part.trim(), '']);
  }
  return changes;
}

/**
 * The attributes after the changes, or what is wrong with them. `current` is undefined for a topic or group that does not
 * exist yet: then only `+` makes sense.
 */
export function changeAttributes(
  kinds: AttributeKinds,
  current: ReadonlyMap<string, string> | undefined,
  changes: SignedAttributes,
): AttributeChange {
  const attributes = new Map(current);
  const added = new Map<string, string>();
  const seen = new Set<string>();
  for (const [signedName, value] of changes) {
    const adds = signedName.startsWith('+');
    if (!adds && !signedName.startsWith('-'))
      return { fault: `wrong format key: ${signedName}; expected +key or -key` };
    const name = signedName.slice(1);
    const kind = kinds.get(name);
    if (kind === undefined) return { fault: `unsupported key: ${name}` };
    if (seen.has(name)) return { fault: `key duplication: ${name}` };
    seen.add(name);
    if (current !== undefined && !kind.changeable) {
      return { fault: `attempt to update an unchangeable attribute. key: ${name}` };
    }
    if (adds) {
      const fault = kind.fault(value);
      if (fault !== undefined) return { fault: `attribute ${name}=${value}: ${fault}` };
      attributes.set(name, value);
      added.set(name, value);
    } else if (!attributes.delete(name)) {
      return { fault: `attempt to delete a nonexistent key: ${name}` };
    }
  }
  return { attributes, added };
}
