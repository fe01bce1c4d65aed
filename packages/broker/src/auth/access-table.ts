import { asArray, asObject, asStrings, stringMember } from '@vernier/remoting';
import type { Budget } from '../base/budget.ts';
import type { SavedTable } from '../metadata/metadata-files.ts';
import {
  type EntryText,
  entryText,
  merged,
  POLICY_TYPES,
  type Policies,
  type Policy,
  type PolicyEntry,
  parseEntry,
  policiesBytes,
  Rules,
} from './policies.ts';
import { nameIn, type User, userBytes, userFromJson } from './users.ts';

/** Subjects of policies are users (RocketMQ SubjectType). */
const SUBJECT = 'User:';

export const subjectOf = (username: string): string => `${SUBJECT}${username}`;

/** The user of a subject; undefined when it is none. The word before the colon may have any case. */
export function usernameOf(subject: string): string | undefined {
  const hasKind = subject.slice(0, SUBJECT.length).toLowerCase() === SUBJECT.toLowerCase();
  return hasKind && subject.length > SUBJECT.length ? subject.slice(SUBJECT.length) : undefined;
}

interface Content {
  readonly users: ReadonlyMap<string, User>;
  /** By user. */
  readonly policies: ReadonlyMap<string, Policies>;
}

const EMPTY: Content = { users: new Map(), policies: new Map() };

/** What changes: the new user or policies of a name, or undefined for those that go. Names that are not in it stay. */
export interface Change {
  readonly users?: ReadonlyMap<string, User | undefined>;
  readonly policies?: ReadonlyMap<string, Policies | undefined>;
}

/**
 * Users and what they may do, in config/access.json.
 *
 * - What counts is on disk: a change is in force once its file is, and one whose file could not be written never is.
 * - One file holds users and policies, so that a user never comes or goes without its policies.
 * - Changes are made one after another, each from what the one before it left.
 */
export class AccessTable implements SavedTable {
  readonly #budget: Budget;
  readonly #save: () => Promise<void>;
  #content = EMPTY;
  /** What is being written; in force when it is. */
  #next: Content | undefined;
  #rules = new Map<string, Rules>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(budget: Budget, save: () => Promise<void>) {
    this.#budget = budget;
    this.#save = save;
  }

  user(name: string): User | undefined {
    return this.#content.users.get(name);
  }

  users(): Iterable<User> {
    return this.#content.users.values();
  }

  policies(username: string): Policies | undefined {
    return this.#content.policies.get(username);
  }

  allPolicies(): Iterable<readonly [username: string, policies: Policies]> {
    return this.#content.policies;
  }

  /** The policies of a user, ready for questions; undefined without any. */
  rules(username: string): Rules | undefined {
    const known = this.#rules.get(username);
    if (known !== undefined) return known;
    const policies = this.#content.policies.get(username);
    if (policies === undefined) return undefined;
    const rules = new Rules(policies);
    this.#rules.set(username, rules);
    return rules;
  }

  /**
   * Changes what `plan` says, looking at the table as it is by then. In force and on disk when it resolves with undefined;
   * otherwise with what `plan` refused with, or why there is no room. Rejects with BROKER_METADATA_WRITE_FAILED: nothing
   * changed then.
   */
  change<Refused>(plan: () => Change | { readonly refused: Refused }): Promise<Refused | string | undefined> {
    const done = this.#last.then(() => this.#change(plan));
    this.#last = done.catch(() => {});
    return done;
  }

  async #change<Refused>(plan: () => Change | { refused: Refused }): Promise<Refused | string | undefined> {
    const change = plan();
    if ('refused' in change) return change.refused;
    const users = new Map(this.#content.users);
    const policies = new Map(this.#content.policies);
    const delta = laidOver(users, change.users, userBytes) + laidOver(policies, change.policies, policiesBytes);
    if (!this.#budget.take(delta)) return this.#budget.reason;
    const next = { users, policies };
    this.#next = next;
    try {
      await this.#save();
    } catch (error) {
      this.#budget.give(delta);
      throw error;
    } finally {
      this.#next = undefined;
    }
    this.#content = next;
    this.#rules = new Map();
    return undefined;
  }

  *encode(): Iterable<string> {
    const { users, policies } = this.#next ?? this.#content;
    yield '{"users":[';
    yield* joined([...users.values()].map((user) => JSON.stringify(user)));
    yield '],"acls":[';
    yield* joined([...policies].map(([username, ofUser]) => JSON.stringify(aclJson(username, ofUser))));
    yield ']}\n';
  }

  load(file: unknown): void {
    const object = asObject(file, 'access.json');
    const users = new Map(
      asArray(object.users, 'users')
        .map(userFromJson)
        .map((user) => [user.username, user]),
    );
    const policies = new Map<string, Policies>();
    for (const value of asArray(object.acls, 'acls')) {
      const acl = policiesFromJson(value);
      const username = usernameOf(acl.subject);
      if (username === undefined) throw new TypeError(`a subject is ${JSON.stringify(acl.subject)}`);
      if (typeof acl.policies === 'string') throw new TypeError(`${acl.subject}: ${acl.policies}`);
      policies.set(username, acl.policies);
    }
    for (const user of users.values()) this.#budget.add(userBytes(user));
    for (const ofUser of policies.values()) this.#budget.add(policiesBytes(ofUser));
    this.#content = { users, policies };
    this.#rules = new Map();
  }
}

/** Lays changes over a map; the bytes that it grew by. */
function laidOver<Value>(
  map: Map<string, Value>,
  changes: ReadonlyMap<string, Value | undefined> | undefined,
  bytesOf: (value: Value) => number,
): number {
  let delta = 0;
  for (const [name, value] of changes ?? []) {
    const old = map.get(name);
    if (old !== undefined) delta -= bytesOf(old);
    if (value === undefined) map.delete(name);
    else {
      map.set(name, value);
      delta += bytesOf(value);
    }
  }
  return delta;
}

function* joined(texts: readonly string[]): Generator<string> {
  for (const [index, text] of texts.entries()) yield index === 0 ? text : `,${text}`;
}

/** Policies as requests and files write them (RocketMQ AclInfo). */
export interface AclJson {
  readonly subject: string;
  readonly policies: readonly { readonly policyType: string; readonly entries: readonly EntryText[] }[];
}

export const aclJson = (username: string, policies: Policies): AclJson => ({
  subject: subjectOf(username),
  policies: policies.map(({ type, entries }) => ({ policyType: type, entries: entries.map(entryText) })),
});

/** Policies in one body; there are two types of them. */
const POLICIES_MAX = 100;

/** Subject and policies of an AclInfo, or what is wrong with the policies. Throws REMOTING_BODY_INVALID for another shape. */
export function policiesFromJson(value: unknown): { subject: string; policies: Policies | string } {
  const object = asObject(value, 'AclInfo');
  const subject = stringMember(object, 'subject');
  const items = asArray(object.policies, 'policies');
  if (items.length === 0) return { subject, policies: 'The policies is empty.' };
  if (items.length > POLICIES_MAX) {
    return { subject, policies: `The body has ${items.length} policies, at most ${POLICIES_MAX}` };
  }
  let policies: Policies = [];
  for (const item of items) {
    const policy = policyFromJson(item);
    if (typeof policy === 'string') return { subject, policies: policy };
    // Two policies of one type are one.
    policies = merged(policies, [policy]);
  }
  return { subject, policies };
}

function policyFromJson(value: unknown): Policy | string {
  const object = asObject(value, 'PolicyInfo');
  const typeText = stringMember(object, 'policyType');
  const type = typeText === '' ? 'Custom' : nameIn(POLICY_TYPES, typeText);
  if (type === undefined) return `The policy type ${JSON.stringify(typeText.slice(0, 30))} is none`;
  const entries: PolicyEntry[] = [];
  for (const item of asArray(object.entries, 'entries')) {
    const entry = entryFromJson(item);
    if (typeof entry === 'string') return entry;
    entries.push(entry);
  }
  return entries.length === 0 ? 'The policy entries is empty.' : { type, entries };
}

function entryFromJson(value: unknown): PolicyEntry | string {
  const object = asObject(value, 'PolicyEntryInfo');
  return parseEntry({
    resource: stringMember(object, 'resource'),
    actions: asStrings(object.actions, 'actions'),
    sourceIps: asStrings(object.sourceIps, 'sourceIps'),
    decision: stringMember(object, 'decision'),
  });
}
