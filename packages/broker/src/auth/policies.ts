import { textBytes } from '../base/budget.ts';
import { ACTIONS, type Access, type Action, RESOURCE_KINDS, type ResourceKind } from '../base/identity.ts';
import { AddressRanges, addressRangeFault } from './address-ranges.ts';
import { nameIn } from './users.ts';

export const POLICY_TYPES = ['Custom', 'Default'] as const;
export type PolicyType = (typeof POLICY_TYPES)[number];
export const DECISIONS = ['Allow', 'Deny'] as const;
export type Decision = (typeof DECISIONS)[number];

/** Which resources an entry is about: `*`, or `Topic:` and a name, the beginning of one with `*` behind it, or `*`. */
export type ResourcePattern =
  | { readonly form: 'everything' }
  | { readonly form: 'any'; readonly kind: ResourceKind }
  | { readonly form: 'literal' | 'prefix'; readonly kind: ResourceKind; readonly name: string };

/** One line of a policy (RocketMQ PolicyEntry). */
export interface PolicyEntry {
  readonly pattern: ResourcePattern;
  readonly actions: readonly Action[];
  /** Addresses and ranges that it counts for; none: all. */
  readonly sourceIps: readonly string[];
  readonly decision: Decision;
}

export interface Policy {
  readonly type: PolicyType;
  readonly entries: readonly PolicyEntry[];
}

/** What one user may do (RocketMQ Acl). At most one policy of each type. */
export type Policies = readonly Policy[];

const NAME_LENGTH_MAX = 255;

/** The pattern that a text such as `Topic:orders*` is; what is wrong with it when it is none. */
export function parseResource(text: string): ResourcePattern | string {
  if (text.trim() === '') return 'The resource is null.';
  if (text === '*') return { form: 'everything' };
  const colon = text.indexOf(':');
  const kind = colon < 0 ? undefined : nameIn(RESOURCE_KINDS, text.slice(0, colon));
  if (kind === undefined)
    return `The resource type is null: ${shown(text)} is neither * nor Topic:, Group:, Cluster: and a name`;
  const name = text.slice(colon + 1);
  if (name === '*') return { form: 'any', kind };
  if (name.length > NAME_LENGTH_MAX) return `The resource has ${name.length} characters, at most ${NAME_LENGTH_MAX}`;
  const isPrefix = name.endsWith('*');
  const bare = isPrefix ? name.slice(0, -1) : name;
  if (bare === '') return `The resource ${shown(text)} has no name`;
  if (bare.includes('*')) return `The resource ${shown(text)} has a * inside; it stands at the end or alone`;
  return { form: isPrefix ? 'prefix' : 'literal', kind, name: bare };
}

export function resourceText(pattern: ResourcePattern): string {
  switch (pattern.form) {
    case 'everything':
      return '*';
    case 'any':
      return `${pattern.kind}:*`;
    case 'literal':
      return `${pattern.kind}:${pattern.name}`;
    case 'prefix':
      return `${pattern.kind}:${pattern.name}*`;
  }
}

const SHOWN_MAX = 60;
const shown = (text: string): string => JSON.stringify(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text);

/** An entry as requests and files write it. */
export interface EntryText {
  readonly resource: string;
  readonly actions: readonly string[];
  readonly sourceIps?: readonly string[];
  readonly decision: string;
}

/** The entry, or what is wrong with it (RocketMQ AuthorizationMetadataManagerImpl.validate). */
export function parseEntry({ resource, actions, sourceIps = [], decision }: EntryText): PolicyEntry | string {
  const pattern = parseResource(resource);
  if (typeof pattern === 'string') return pattern;
  if (actions.length === 0) return 'The actions is empty.';
  const known = new Set<Action>();
  for (const text of actions) {
    const action = nameIn(ACTIONS, text);
    if (action === undefined) {
      if (text.toLowerCase() === 'any') return 'The actions can not be Any.';
      return `The action ${shown(text)} is none of ${ACTIONS.join(', ')}`;
    }
    known.add(action);
  }
  for (const range of sourceIps) {
    if (range.trim() === '') return 'The source ip is empty.';
    const fault = addressRangeFault(range);
    if (fault !== undefined) return `The source ip ${shown(range)} is invalid: ${fault}`;
  }
  const decided = nameIn(DECISIONS, decision);
  if (decided === undefined) return 'The decision is null or illegal.';
  return { pattern, actions: [...known], sourceIps: [...new Set(sourceIps)], decision: decided };
}

export const entryText = ({ pattern, actions, sourceIps, decision }: PolicyEntry): EntryText => ({
  resource: resourceText(pattern),
  actions,
  ...(sourceIps.length === 0 ? {} : { sourceIps }),
  decision,
});

/**
 * Policies with others laid over them (RocketMQ Acl.updatePolicy): an entry takes the place of that with the same resource
 * in the policy of its type, and is added to it otherwise.
 */
export function merged(present: Policies, more: Policies): Policies {
  const result = new Map(present.map(({ type, entries }) => [type, [...entries]]));
  for (const { type, entries } of more) {
    const old = result.get(type);
    if (old === undefined) {
      result.set(type, [...entries]);
      continue;
    }
    const places = new Map<string, number>();
    for (const [index, { pattern }] of old.entries()) {
      const key = resourceText(pattern);
      if (!places.has(key)) places.set(key, index);
    }
    for (const entry of entries) {
      const key = resourceText(entry.pattern);
      const place = places.get(key);
      if (place === undefined) places.set(key, old.push(entry) - 1);
      else old[place] = entry;
    }
  }
  return [...result].map(([type, entries]) => ({ type, entries }));
}

/** Policies without the entry of this resource in the policy of that type; a policy without entries goes. */
export function without(present: Policies, type: PolicyType, pattern: ResourcePattern): Policies {
  const key = resourceText(pattern);
  return present.flatMap((policy) => {
    if (policy.type !== type) return [policy];
    const first = policy.entries.findIndex((entry) => resourceText(entry.pattern) === key);
    const entries = first < 0 ? policy.entries : policy.entries.toSpliced(first, 1);
    return entries.length === 0 ? [] : [{ type, entries }];
  });
}

/** An entry, its texts and what is made of it for deciding. */
const ENTRY_BYTES = 400;

export const policiesBytes = (policies: Policies): number =>
  policies.reduce((sum, { entries }) => sum + entries.reduce((bytes, entry) => bytes + entryBytes(entry), 0), 0);

const entryBytes = ({ pattern, sourceIps }: PolicyEntry): number =>
  ENTRY_BYTES + 2 * textBytes(resourceText(pattern)) + sourceIps.reduce((sum, ip) => sum + 100 + textBytes(ip), 0);

/** What policies say of a question: a decision, or that no entry is about it. */
export type Verdict = Decision | 'none';

/**
 * Policies made ready for questions (RocketMQ AclAuthorizationHandler). Of the entries that are about the resource, one of
 * the actions and the address, the first decides: those of the custom policy, and if there is none those of the default one;
 * in each a resource with a kind goes before `*`, a name before a beginning, a longer beginning before a shorter one, that
 * before any name. Of two entries for the same resource a Deny goes first.
 */
export class Rules {
  readonly #policies: readonly RulesOfPolicy[];

  constructor(policies: Policies) {
    this.#policies = POLICY_TYPES.flatMap((type) => {
      const policy = policies.find((one) => one.type === type);
      return policy === undefined ? [] : [new RulesOfPolicy(policy.entries)];
    });
  }

  verdict(access: Access, address: string): Verdict {
    for (const policy of this.#policies) {
      const decision = policy.first(access, address);
      if (decision !== undefined) return decision;
    }
    return 'none';
  }
}

interface Rule {
  readonly actions: ReadonlySet<Action>;
  readonly addresses: AddressRanges | undefined;
  readonly decision: Decision;
}

interface PrefixRules {
  readonly prefix: string;
  readonly rules: Rule[];
}

/** Entries by what they are about, so that a question looks at few of them. */
class RulesOfPolicy {
  readonly #literals = new Map<string, Rule[]>();
  /** By kind, longer ones first. */
  readonly #prefixes = new Map<ResourceKind, PrefixRules[]>();
  readonly #any = new Map<ResourceKind, Rule[]>();
  readonly #everything: Rule[] = [];

  constructor(entries: readonly PolicyEntry[]) {
    // Of several for one resource those that deny come first.
    const ordered = [...entries].sort((a, b) => Number(a.decision === 'Allow') - Number(b.decision === 'Allow'));
    for (const entry of ordered) this.#rulesOf(entry.pattern).push(ruleOf(entry));
    for (const prefixes of this.#prefixes.values()) prefixes.sort((a, b) => b.prefix.length - a.prefix.length);
  }

  first({ kind, name, actions }: Access, address: string): Decision | undefined {
    const literal = this.#literals.get(`${kind}:${name}`);
    const found = literal && decisionOf(literal, actions, address);
    if (found !== undefined) return found;
    for (const { prefix, rules } of this.#prefixes.get(kind) ?? []) {
      const decision = name.startsWith(prefix) ? decisionOf(rules, actions, address) : undefined;
      if (decision !== undefined) return decision;
    }
    const any = this.#any.get(kind);
    return (any && decisionOf(any, actions, address)) ?? decisionOf(this.#everything, actions, address);
  }

  #rulesOf(pattern: ResourcePattern): Rule[] {
    switch (pattern.form) {
      case 'everything':
        return this.#everything;
      case 'any':
        return entryOf(this.#any, pattern.kind, () => []);
      case 'literal':
        return entryOf(this.#literals, `${pattern.kind}:${pattern.name}`, () => []);
      case 'prefix': {
        const prefixes = entryOf(this.#prefixes, pattern.kind, () => []);
        let known = prefixes.find(({ prefix }) => prefix === pattern.name);
        if (known === undefined) {
          known = { prefix: pattern.name, rules: [] };
          prefixes.push(known);
        }
        return known.rules;
      }
    }
  }
}

const ruleOf = ({ actions, sourceIps, decision }: PolicyEntry): Rule => ({
  actions: new Set(actions),
  addresses: sourceIps.length === 0 ? undefined : new AddressRanges(sourceIps),
  decision,
});

function decisionOf(rules: readonly Rule[], actions: readonly Action[], address: string): Decision | undefined {
  for (const rule of rules) {
    if (!rule.actions.has('All') && !actions.some((action) => rule.actions.has(action))) continue;
    if (rule.addresses === undefined || rule.addresses.has(address)) return rule.decision;
  }
  return undefined;
}

function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
