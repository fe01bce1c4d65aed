import { ResponseCode, sameSignature, signatureOf } from '@vernier/remoting';
import type { Access, Action, Identity } from '../base/identity.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { type AccessTable, subjectOf } from './access-table.ts';
import type { FailedSignIns, SignInFaultKind } from './failed-sign-ins.ts';
import type { User } from './users.ts';

/** What somebody shows to prove who he is. */
export interface Proof {
  /** Empty: he says nobody. */
  readonly username: string;
  /** In base64. */
  readonly signature: string;
  /** What is signed: the text, and the bytes behind it. */
  readonly text: string;
  readonly body?: Uint8Array | undefined;
}

/** Why a proof is none. `reason` is for the log; whoever asks is not told which of name and signature was wrong. */
export interface SignInFault {
  readonly kind: SignInFaultKind;
  readonly reason: string;
  readonly refusal: Refusal;
}

export interface AccessServiceParts {
  readonly config: Pick<BrokerConfig, AccessKeys>;
  readonly table: AccessTable;
  readonly failures: FailedSignIns;
}

type AccessKeys =
  | 'authenticationEnabled'
  | 'authorizationEnabled'
  | 'authenticationWhitelist'
  | 'authorizationWhitelist'
  | 'brokerClusterName';

/** What was denied: the first of the actions of which one would have done; `changed`: what a user had been let in for before. */
export type DeniedAction = Action | 'changed';

/** In the place of the secret of a user that there is not: it takes as long to find that out. */
const NOBODYS_SECRET = 'nobody';

/** Who is who, and who may do what (RocketMQ AuthenticationEvaluator, AuthorizationEvaluator). */
export class AccessService {
  readonly failures: FailedSignIns;
  /** Requests have to be signed. */
  readonly isOn: boolean;
  /** Users may do what their policies say. */
  readonly hasPolicies: boolean;
  readonly clusterName: string;
  readonly #table: AccessTable;
  readonly #unsigned: ReadonlySet<string>;
  readonly #unchecked: ReadonlySet<string>;
  readonly #denied = new Map<DeniedAction, number>();

  constructor({ config, table, failures }: AccessServiceParts) {
    this.#table = table;
    this.failures = failures;
    this.isOn = config.authenticationEnabled;
    this.hasPolicies = config.authorizationEnabled;
    this.clusterName = config.brokerClusterName;
    this.#unsigned = namesOf(config.authenticationWhitelist);
    this.#unchecked = namesOf(config.authorizationWhitelist);
  }

  /** Requests that policies refused since the start. */
  get deniedCount(): number {
    let count = 0;
    for (const one of this.#denied.values()) count += one;
    return count;
  }

  /** The same by what was denied. */
  get denied(): ReadonlyMap<DeniedAction, number> {
    return this.#denied;
  }

  /** Whether a request needs a signature; `name`: its code, or the name of its message. */
  needsSignature(name: string): boolean {
    return this.isOn && !this.#unsigned.has(name);
  }

  /** Whether policies have a say about it. */
  needsRight(name: string): boolean {
    return this.hasPolicies && !this.#unchecked.has(name);
  }

  /** Who it is that shows this proof, from this address (without a port). */
  authenticate({ username, signature, text, body }: Proof, address: string): Identity | SignInFault {
    if (username === '')
      return fault('unsigned', 'the request is not signed', 'username cannot be null: the request is not signed');
    const user = this.#table.user(username);
    const expected = signatureOf(text, body, user?.password ?? NOBODYS_SECRET);
    const isSame = sameSignature(expected, signature);
    if (user === undefined) return fault('no_user', `there is no user ${shownName(username)}`, WRONG);
    if (!isSame) return fault('signature', `the signature of ${shownName(username)} is wrong`, WRONG);
    if (user.userStatus !== 'enable') {
      const text = `User:${username} is disabled`;
      return fault('disabled', text, text);
    }
    return new SignedIn(user, address, this);
  }

  /** Why nobody signs as the user any more as it was then; undefined when it is as it was. */
  expired(user: User): Refusal | undefined {
    const { username, password, userType } = user;
    const now = this.#table.user(username);
    const isSame = now?.userStatus === 'enable' && now.password === password;
    // What a Super asks is not looked at.
    if (isSame && (userType !== 'Super' || !this.hasPolicies || now.userType === 'Super')) return undefined;
    this.#countDenied('changed');
    return new Refusal(ResponseCode.NO_PERMISSION, `${subjectOf(username)} has changed since the request was signed`);
  }

  /** Why a user may not do one of these from this address; undefined when it may do all. */
  refusalOf(username: string, accesses: readonly Access[], address: string): Refusal | undefined {
    if (!this.hasPolicies) return undefined;
    const user = this.#table.user(username);
    if (user?.userStatus === 'enable' && user.userType === 'Super') return undefined;
    const rules = user?.userStatus === 'enable' ? this.#table.rules(username) : undefined;
    for (const access of accesses) {
      const verdict = rules?.verdict(access, address) ?? 'none';
      if (verdict === 'Allow') continue;
      this.#countDenied(access.actions[0]!);
      const why = verdict === 'Deny' ? 'the decision is deny' : 'no matched policies';
      const remark = `${subjectOf(username)} has no permission to access ${access.kind}:${access.name} from ${address}, ${why}`;
      return new Refusal(ResponseCode.NO_PERMISSION, remark);
    }
    return undefined;
  }

  #countDenied(action: DeniedAction): void {
    this.#denied.set(action, (this.#denied.get(action) ?? 0) + 1);
  }

  runtimeInfo(): Record<string, string> {
    return { accessSignInsFailed: String(this.failures.total), accessDenied: String(this.deniedCount) };
  }
}

const WRONG = 'check signature failed: there is no such user, or the signature is wrong';

const fault = (kind: SignInFaultKind, reason: string, remark: string): SignInFault => ({
  kind,
  reason,
  refusal: new Refusal(ResponseCode.NO_PERMISSION, remark),
});

const SHOWN_MAX = 40;
const shownName = (name: string): string =>
  JSON.stringify(name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}…` : name);

export const isFault = (result: Identity | SignInFault): result is SignInFault => 'refusal' in result;

/** Names with commas between them. */
const namesOf = (list: string): ReadonlySet<string> =>
  new Set(
    list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
  );

class SignedIn implements Identity {
  readonly name: string;
  readonly isSuper: boolean;
  readonly #user: User;
  readonly #address: string;
  readonly #service: AccessService;
  #admitted: readonly Access[] = [];

  constructor(user: User, address: string, service: AccessService) {
    this.name = user.username;
    this.isSuper = user.userType === 'Super';
    this.#user = user;
    this.#address = address;
    this.#service = service;
  }

  refusalOf(accesses: readonly Access[]): Refusal | undefined {
    return this.#service.refusalOf(this.name, accesses, this.#address);
  }

  admit(accesses: readonly Access[]): Refusal | undefined {
    this.#admitted = accesses;
    return this.refusalOf(accesses);
  }

  expired(): Refusal | undefined {
    return this.#service.expired(this.#user) ?? this.refusalOf(this.#admitted);
  }
}
