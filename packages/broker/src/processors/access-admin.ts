import {
  asArray,
  bodyObject,
  type ExtFields,
  type JsonObject,
  type RemotingCommand,
  type RequestCodeName,
  ResponseCode,
  stringMember,
} from '@vernier/remoting';
import type { UserChange } from '../auth/access-admin.ts';
import { aclJson, policiesFromJson } from '../auth/access-table.ts';
import { POLICY_TYPES, type Policies, resourceText } from '../auth/policies.ts';
import { nameIn, USER_STATUSES, USER_TYPES } from '../auth/users.ts';
import type { Caller } from '../base/caller.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerContext } from '../context.ts';
import { json, RequestFault, refused, requiredText, success } from './requests.ts';

/** A nameserver without a broker has them too. */
type Users = Pick<BrokerContext, 'accessAdmin'>;
type Asker = Pick<Caller, 'identity'>;

const done = (request: RemotingCommand, refusal: Refusal | undefined): RemotingCommand =>
  refusal === undefined ? success(request) : refused(request, refusal);

const usernameIn = (fields: ExtFields | undefined): string => {
  const username = fields?.username ?? '';
  if (username === '') throw new RequestFault(ResponseCode.INVALID_PARAMETER, 'The username is blank');
  return username;
};

/** The name counts that the header says. */
function changeOf({ extFields, body }: RemotingCommand): UserChange {
  const username = usernameIn(extFields);
  const user = bodyObject(body, 'UserInfo');
  return {
    username,
    password: user.password === undefined ? undefined : stringMember(user, 'password'),
    userType: oneOf(user, 'userType', USER_TYPES),
    userStatus: oneOf(user, 'userStatus', USER_STATUSES),
  };
}

/** Undefined when it is not said. */
function oneOf<Name extends string>(object: JsonObject, member: string, names: readonly Name[]): Name | undefined {
  const text = stringMember(object, member);
  const name = nameIn(names, text);
  if (name !== undefined || text.trim() === '') return name;
  const shown = JSON.stringify(text.slice(0, 30));
  throw new RequestFault(ResponseCode.INVALID_PARAMETER, `${member} is ${shown}, none of ${names.join(', ')}`);
}

/** AUTH_CREATE_USER. Answered once the table is on disk and in force, as all changes here. */
export async function createUser(
  { accessAdmin }: Users,
  request: RemotingCommand,
  { identity }: Asker,
): Promise<RemotingCommand> {
  return done(request, await accessAdmin.createUser(changeOf(request), identity));
}

/** AUTH_UPDATE_USER */
export async function updateUser(
  { accessAdmin }: Users,
  request: RemotingCommand,
  { identity }: Asker,
): Promise<RemotingCommand> {
  return done(request, await accessAdmin.updateUser(changeOf(request), identity));
}

/** AUTH_DELETE_USER */
export async function deleteUser(
  { accessAdmin }: Users,
  request: RemotingCommand,
  { identity }: Asker,
): Promise<RemotingCommand> {
  return done(request, await accessAdmin.deleteUser(usernameIn(request.extFields), identity));
}

/** AUTH_GET_USER. Without a body there is no such user. */
export function getUser({ accessAdmin }: Users, request: RemotingCommand, { identity }: Asker): RemotingCommand {
  const user = accessAdmin.user(usernameIn(request.extFields), identity);
  return user === undefined ? success(request) : json(request, user);
}

/** AUTH_LIST_USER. Without a body there is none. */
export function listUsers({ accessAdmin }: Users, request: RemotingCommand, { identity }: Asker): RemotingCommand {
  const users = accessAdmin.users(request.extFields?.filter ?? '', identity);
  return users.length === 0 ? success(request) : json(request, users);
}

/** AUTH_CREATE_ACL, AUTH_UPDATE_ACL: both lay the policies over those that are there. */
export async function putAcl({ accessAdmin }: Users, request: RemotingCommand): Promise<RemotingCommand> {
  const object = bodyObject(request.body, 'AclInfo');
  if (asArray(object.policies, 'policies').length === 0) {
    throw new RequestFault(ResponseCode.SYSTEM_ERROR, 'The body of acl is null');
  }
  const { subject, policies } = policiesFromJson(object);
  const whose = subject === '' ? requiredText(request.extFields, 'subject') : subject;
  return done(request, await accessAdmin.putPolicies(whose, policies));
}

/** AUTH_DELETE_ACL */
export async function deleteAcl({ accessAdmin }: Users, request: RemotingCommand): Promise<RemotingCommand> {
  const { policyType = '', resource = '' } = request.extFields ?? {};
  const type = nameIn(POLICY_TYPES, policyType);
  if (type === undefined && policyType !== '') {
    const shown = JSON.stringify(policyType.slice(0, 30));
    throw new RequestFault(
      ResponseCode.INVALID_PARAMETER,
      `policyType is ${shown}, none of ${POLICY_TYPES.join(', ')}`,
    );
  }
  const subject = requiredText(request.extFields, 'subject');
  return done(request, await accessAdmin.deletePolicies(subject, type ?? 'Custom', resource));
}

/** AUTH_GET_ACL. Without a body the user has none. */
export function getAcl({ accessAdmin }: Users, request: RemotingCommand): RemotingCommand {
  const found = accessAdmin.policies(requiredText(request.extFields, 'subject'));
  if (found === undefined) return success(request);
  return found instanceof Refusal ? refused(request, found) : json(request, shownAcl(found));
}

/** AUTH_LIST_ACL. Without a body there is none. */
export function listAcls({ accessAdmin }: Users, request: RemotingCommand): RemotingCommand {
  const { subjectFilter = '', resourceFilter = '' } = request.extFields ?? {};
  const isWanted = (pattern: Parameters<typeof resourceText>[0]): boolean =>
    resourceFilter === '' || resourceText(pattern).includes(resourceFilter);
  const acls = [...accessAdmin.allPolicies(subjectFilter, isWanted)].map(shownAcl);
  return acls.length === 0 ? success(request) : json(request, acls);
}

const shownAcl = ({ username, policies }: { username: string; policies: Policies }) => aclJson(username, policies);

/** The requests about users and policies, by name, as brokers and nameservers answer them. */
export const accessHandlers = {
  AUTH_CREATE_USER: createUser,
  AUTH_UPDATE_USER: updateUser,
  AUTH_DELETE_USER: deleteUser,
  AUTH_GET_USER: getUser,
  AUTH_LIST_USER: listUsers,
  AUTH_CREATE_ACL: putAcl,
  AUTH_UPDATE_ACL: putAcl,
  AUTH_DELETE_ACL: deleteAcl,
  AUTH_GET_ACL: getAcl,
  AUTH_LIST_ACL: listAcls,
} as const satisfies Partial<Record<RequestCodeName, unknown>>;

export const accessRequests = Object.keys(accessHandlers) as (keyof typeof accessHandlers)[];
