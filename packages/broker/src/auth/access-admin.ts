import { ResponseCode } from '@vernier/remoting';
import type { Identity } from '../base/identity.ts';
import { Refusal } from '../base/refusal.ts';
import { type AccessTable, type Change, subjectOf, usernameOf } from './access-table.ts';
import { merged, type Policies, type PolicyType, parseResource, type ResourcePattern, without } from './policies.ts';
import { passwordFault, type User, type UserStatus, type UserType, usernameFault } from './users.ts';

/** What a request says of a user; what it leaves out stays as it is, or is RocketMQ's default. */
export interface UserChange {
  readonly username: string;
  readonly password: string | undefined;
  readonly userType: UserType | undefined;
  readonly userStatus: UserStatus | undefined;
}

/** A user as it is shown. Its secret is told to those alone who may do everything anyway. */
export interface ShownUser {
  readonly username: string;
  readonly password?: string;
  readonly userType: UserType;
  readonly userStatus: UserStatus;
}

export interface PoliciesOf {
  readonly username: string;
  readonly policies: Policies;
}

/**
 * What operators do to users and policies (RocketMQ AuthenticationMetadataManagerImpl, AuthorizationMetadataManagerImpl).
 * Each change is in force and on disk when it resolves with undefined; it rejects with BROKER_METADATA_WRITE_FAILED and then
 * changed nothing.
 */
export class AccessAdmin {
  readonly #table: AccessTable;
  /** Without it everybody may do everything to the table, as to all others. */
  readonly #isOn: boolean;

  constructor(table: AccessTable, isOn: boolean) {
    this.#table = table;
    this.#isOn = isOn;
  }

  /** Somebody can sign as a user who may do everything. */
  get hasSuper(): boolean {
    for (const { userType, userStatus } of this.#table.users()) {
      if (userType === 'Super' && userStatus === 'enable') return true;
    }
    return false;
  }

  /** A type or status that is none is undefined, as RocketMQ reads it: a new user is Normal and enabled then. */
  createUser(change: UserChange, by: Identity | undefined): Promise<Refusal | undefined> {
    const { username, password = '', userType = 'Normal', userStatus = 'enable' } = change;
    const fault = usernameFault(username) ?? passwordFault(password);
    if (fault !== undefined) return refused(fault);
    if (userType === 'Super' && !this.#mayChangeSupers(by)) {
      return Promise.resolve(new Refusal(ResponseCode.SYSTEM_ERROR, 'The super user can only be create by super user'));
    }
    return this.#change(() =>
      this.#table.user(username) === undefined
        ? ofUser({ username, password, userType, userStatus })
        : refusal('The user is existed'),
    );
  }

  updateUser(change: UserChange, by: Identity | undefined): Promise<Refusal | undefined> {
    const { username, password, userType, userStatus } = change;
    const changesPassword = password !== undefined && password.trim() !== '';
    const fault = usernameFault(username) ?? (changesPassword ? passwordFault(password) : undefined);
    if (fault !== undefined) return refused(fault);
    if (userType === 'Super' && !this.#mayChangeSupers(by)) {
      return Promise.resolve(new Refusal(ResponseCode.SYSTEM_ERROR, 'The super user can only be update by super user'));
    }
    return this.#change(() => {
      const old = this.#table.user(username);
      if (old === undefined) return refusal('The user is not exist');
      if (old.userType === 'Super' && !this.#mayChangeSupers(by)) {
        return refusal('The super user can only be update by super user');
      }
      return ofUser({
        username,
        password: changesPassword ? password : old.password,
        userType: userType ?? old.userType,
        userStatus: userStatus ?? old.userStatus,
      });
    });
  }

  /** With its policies. That there is no such user is no fault. */
  deleteUser(username: string, by: Identity | undefined): Promise<Refusal | undefined> {
    return this.#change(() => {
      const old = this.#table.user(username);
      if (old === undefined) return {};
      if (old.userType === 'Super' && !this.#mayChangeSupers(by)) {
        return refusal('The super user can only be update by super user');
      }
      return { users: new Map([[username, undefined]]), policies: new Map([[username, undefined]]) };
    });
  }

  user(username: string, by: Identity | undefined): ShownUser | undefined {
    const user = this.#table.user(username);
    return user && this.#shown(user, by);
  }

  /** Those whose name has `filter` in it. */
  users(filter: string, by: Identity | undefined): ShownUser[] {
    return [...this.#table.users()]
      .filter(({ username }) => username.includes(filter))
      .map((user) => this.#shown(user, by));
  }

  /** Makes policies for a subject, or lays these over those that it has. */
  putPolicies(subject: string, policies: Policies | string): Promise<Refusal | undefined> {
    const username = usernameOf(subject);
    if (username === undefined) return refused('The subject type is null.');
    if (typeof policies === 'string') return refused(policies);
    return this.#change(() => {
      if (this.#table.user(username) === undefined)
        return refusal(`The subject of ${subjectOf(username)} is not exist.`);
      const old = this.#table.policies(username);
      const all = old === undefined ? policies : merged(old, policies);
      const count = all.reduce((sum, { entries }) => sum + entries.length, 0);
      if (count > ENTRIES_MAX)
        return refusal(`${subjectOf(username)} would have ${count} entries, at most ${ENTRIES_MAX}`);
      return { policies: new Map([[username, all]]) };
    });
  }

  /** Without a resource all policies of the subject go, of whichever type. */
  deletePolicies(subject: string, type: PolicyType, resource: string): Promise<Refusal | undefined> {
    const username = usernameOf(subject);
    if (username === undefined) return refused('The subject is null.');
    let pattern: ResourcePattern | undefined;
    if (resource !== '') {
      const parsed = parseResource(resource);
      if (typeof parsed === 'string') return refused(parsed);
      pattern = parsed;
    }
    return this.#change(() => {
      if (this.#table.user(username) === undefined) return refusal('The subject is not exist.');
      const old = this.#table.policies(username);
      if (old === undefined) return refusal('The acl is not exist.');
      const left = pattern === undefined ? [] : without(old, type, pattern);
      return { policies: new Map([[username, left.length === 0 ? undefined : left]]) };
    });
  }

  /** Undefined: there is the user, and it has none. */
  policies(subject: string): PoliciesOf | Refusal | undefined {
    const username = usernameOf(subject);
    if (username === undefined || this.#table.user(username) === undefined) {
      return refusal('The subject is not exist.').refused;
    }
    const policies = this.#table.policies(username);
    return policies && { username, policies };
  }

  /** Of subjects with `subjectFilter` in them the entries whose resource has `resourceFilter` in it. */
  *allPolicies(subjectFilter: string, isWanted: (pattern: ResourcePattern) => boolean): Generator<PoliciesOf> {
    for (const [username, all] of this.#table.allPolicies()) {
      if (!subjectOf(username).includes(subjectFilter)) continue;
      const policies = all.flatMap(({ type, entries }) => {
        const wanted = entries.filter(({ pattern }) => isWanted(pattern));
        return wanted.length === 0 ? [] : [{ type, entries: wanted }];
      });
      if (policies.length > 0) yield { username, policies };
    }
  }

  /** Makes a Super that the configuration names, unless there is a user of that name. Resolves with why it cannot. */
  async ensureSuper(username: string, password: string): Promise<string | undefined> {
    if (this.#table.user(username) !== undefined) return undefined;
    const fault = usernameFault(username) ?? passwordFault(password);
    if (fault !== undefined) return fault;
    const user: User = { username, password, userType: 'Super', userStatus: 'enable' };
    return (await this.#change(() => ofUser(user)))?.remark;
  }

  async #change(plan: () => Change | { refused: Refusal }): Promise<Refusal | undefined> {
    const outcome = await this.#table.change(plan);
    return typeof outcome === 'string' ? new Refusal(ResponseCode.SYSTEM_ERROR, outcome) : outcome;
  }

  #mayChangeSupers(by: Identity | undefined): boolean {
    return by === undefined ? !this.#isOn : by.isSuper;
  }

  #shown({ username, password, userType, userStatus }: User, by: Identity | undefined): ShownUser {
    return { username, ...(by?.isSuper === true ? { password } : {}), userType, userStatus };
  }
}

/** Of one subject; a question looks at few of them, a change at all. */
const ENTRIES_MAX = 10_000;

const ofUser = (user: User): Change => ({ users: new Map([[user.username, user]]) });

/** RocketMQ answers what is wrong with users and policies so. */
const refusal = (remark: string): { refused: Refusal } => ({
  refused: new Refusal(ResponseCode.NO_PERMISSION, remark),
});

const refused = (remark: string): Promise<Refusal> => Promise.resolve(refusal(remark).refused);
