import { parse } from 'yaml';
import type { Acl, PolicyEntry } from '../commands/acl.ts';
import { CliError } from '../errors.ts';

/** Users with their secrets, and policies: what `vernier acl export` writes. */
export interface AccessData {
  users: { username: string; password: string; userType: string; userStatus: string }[];
  acls: Acl[];
  /** What of the source has no place here. */
  leftOut: string[];
}

const RETRY = '%RETRY%';

/**
 * Accounts of RocketMQ 4's conf/plain_acl.yml as users and policies, as RocketMQ's own migration makes them (AuthMigrator):
 * what a topic or group names in the custom policy, the defaults in the default one. Throws CLI_CONFIG_INVALID.
 */
export function accessOfPlainAcl(text: string, path: string): AccessData {
  let file: unknown;
  try {
    file = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw invalid(path, (error as Error).message.split('\n')[0] ?? '');
  }
  const { accounts, globalWhiteRemoteAddresses } = members(file, path, 'the file');
  const data: AccessData = { users: [], acls: [], leftOut: [] };
  if (listOf(globalWhiteRemoteAddresses, path, 'globalWhiteRemoteAddresses').length > 0) {
    data.leftOut.push('globalWhiteRemoteAddresses: requests from everywhere are signed');
  }
  for (const [index, value] of listOf(accounts, path, 'accounts').entries()) {
    const account = members(value, path, `account ${index + 1}`);
    const username = textOf(account.accessKey, path, `accessKey of account ${index + 1}`);
    const password = textOf(account.secretKey, path, `secretKey of ${username}`);
    if (username === '' || password === '')
      throw invalid(path, `account ${index + 1} has no accessKey or no secretKey`);
    const isAdmin = account.admin === true || account.admin === 'true';
    data.users.push({ username, password, userType: isAdmin ? 'Super' : 'Normal', userStatus: 'enable' });
    const white = textOf(account.whiteRemoteAddress, path, `whiteRemoteAddress of ${username}`);
    if (white !== '') data.leftOut.push(`whiteRemoteAddress of ${username}: requests from ${white} are signed too`);
    const policies = policiesOf(account, path, username);
    if (policies.length > 0) data.acls.push({ subject: `User:${username}`, policies });
  }
  return data;
}

function policiesOf(account: Record<string, unknown>, path: string, username: string): Acl['policies'] {
  const custom: PolicyEntry[] = [];
  for (const [kind, member] of [
    ['Topic', 'topicPerms'],
    ['Group', 'groupPerms'],
  ] as const) {
    for (const item of listOf(account[member], path, `${member} of ${username}`)) {
      const text = textOf(item, path, `${member} of ${username}`);
      const equal = text.indexOf('=');
      if (equal < 1) throw invalid(path, `${member} of ${username}: ${text} is no NAME=PERMISSION`);
      const name = text.slice(0, equal).trim();
      const bare = kind === 'Group' && name.startsWith(RETRY) ? name.slice(RETRY.length) : name;
      custom.push(entryOf(`${kind}:${bare}`, text.slice(equal + 1), path));
    }
  }
  const defaults: PolicyEntry[] = [];
  for (const [kind, member] of [
    ['Topic', 'defaultTopicPerm'],
    ['Group', 'defaultGroupPerm'],
  ] as const) {
    const text = textOf(account[member], path, `${member} of ${username}`);
    if (text !== '') defaults.push(entryOf(`${kind}:*`, text, path));
  }
  return [
    ...(custom.length === 0 ? [] : [{ policyType: 'Custom', entries: custom }]),
    ...(defaults.length === 0 ? [] : [{ policyType: 'Default', entries: defaults }]),
  ];
}

const actionsOf: Readonly<Record<string, string[]>> = {
  PUB: ['Pub'],
  SUB: ['Sub'],
  'PUB|SUB': ['Pub', 'Sub'],
  'SUB|PUB': ['Pub', 'Sub'],
  ANY: ['All'],
  DENY: ['All'],
};

function entryOf(resource: string, permission: string, path: string): PolicyEntry {
  const text = permission.trim();
  const actions = Object.hasOwn(actionsOf, text) ? actionsOf[text] : undefined;
  if (actions === undefined) {
    throw invalid(path, `${resource}=${text}: permissions are ${Object.keys(actionsOf).join(', ')}`);
  }
  return { resource, actions, sourceIps: [], decision: text === 'DENY' ? 'Deny' : 'Allow' };
}

const invalid = (path: string, why: string): CliError =>
  new CliError('CLI_CONFIG_INVALID', `${path}: ${why}; nothing was imported`, { path });

function members(value: unknown, path: string, what: string): Record<string, unknown> {
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(path, `${what} is no list of names and values`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, path: string, what: string): readonly unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw invalid(path, `${what} is no list`);
  return value;
}

/** Names and secrets of digits are read as numbers; what a number cannot keep exactly needs quotes. */
function textOf(value: unknown, path: string, what: string): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value.trim();
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw invalid(path, `${what} is no text; put it into quotes`);
}
