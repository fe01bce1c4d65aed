import { writeFileSync } from 'node:fs';
import { asArray, asObject, parseJavaJsonBody, RequestCode } from '@vernier/remoting';
import type { Cluster } from '../client/cluster.ts';
import { type ClusterOptions, knownBrokers, onEach, withCluster } from '../client/on-brokers.ts';
import type { AccessData } from '../client/plain-acl.ts';
import { CliError } from '../errors.ts';
import { readInput } from '../input/read-input.ts';
import { print, printJson } from '../output/print.ts';
import { aclOf, aclsOf, putOnAll } from './acl.ts';
import { userOf, usersOf } from './user.ts';

export interface AclExportOptions extends ClusterOptions {
  output?: string;
}

/** For its user alone: it has secrets in it. */
const SECRET_FILE_MODE = 0o600;

/** `vernier acl export`: users with their secrets, and policies, of the first broker. */
export function exportAccess(options: AclExportOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const [{ address }] = await knownBrokers(cluster, options.broker);
    const users = usersOf((await cluster.call(address, RequestCode.AUTH_LIST_USER)).body);
    const hidden = users.find(({ password }) => password === undefined);
    if (hidden !== undefined) {
      const text = `the broker shows no secret of ${hidden.username}; sign as a Super, an export without secrets is no copy`;
      throw new CliError('CLI_REFUSED', text, { username: hidden.username });
    }
    const acls = aclsOf((await cluster.call(address, RequestCode.AUTH_LIST_ACL)).body);
    const text = `${JSON.stringify({ users, acls }, undefined, 2)}\n`;
    if (options.output === undefined) return print(text);
    try {
      writeFileSync(options.output, text, { mode: SECRET_FILE_MODE, flag: 'wx' });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const why = code === 'EEXIST' ? 'is there already' : `cannot be written: ${code}`;
      throw new CliError('CLI_OUTPUT_UNWRITABLE', `${options.output} ${why}`, { path: options.output }, error);
    }
    const counts = { users: users.length, acls: acls.length };
    if (options.json) await printJson({ ...counts, output: options.output });
    else
      process.stdout.write(`${counts.users} users and the policies of ${counts.acls} written to ${options.output}\n`);
  });
}

/**
 * `vernier acl import`: an export, or RocketMQ 4's plain_acl.yml. Users that are there keep what the file does not say; their
 * secret, type and status become those of the file.
 */
export async function importAccess(path: string, options: ClusterOptions): Promise<number> {
  const data = await accessData(path);
  return withCluster(options, async (cluster) => {
    for (const user of data.users) await putUser(cluster, user, options.broker);
    for (const acl of data.acls) await putOnAll(cluster, acl, options.broker);
    for (const text of data.leftOut) process.stderr.write(`vernier: left out: ${text}\n`);
    const counts = { users: data.users.length, acls: data.acls.length, leftOut: data.leftOut };
    if (options.json) await printJson(counts);
    else process.stdout.write(`${counts.users} users and the policies of ${counts.acls} imported\n`);
  });
}

async function putUser(cluster: Cluster, user: AccessData['users'][number], named: string | undefined): Promise<void> {
  const { username } = user;
  const body = Buffer.from(JSON.stringify(user));
  await onEach(await knownBrokers(cluster, named), async (address) => {
    const present = await cluster.call(address, RequestCode.AUTH_GET_USER, { username });
    const isThere = present.body !== undefined && present.body.length > 0;
    const code = isThere ? RequestCode.AUTH_UPDATE_USER : RequestCode.AUTH_CREATE_USER;
    await cluster.call(address, code, { username }, { body });
  });
}

/** Throws CLI_INPUT_UNREADABLE, CLI_CONFIG_INVALID. */
async function accessData(path: string): Promise<AccessData> {
  const text = readInput(path);
  if (/\.ya?ml$/i.test(path)) {
    const { accessOfPlainAcl } = await import('../client/plain-acl.ts');
    return accessOfPlainAcl(text.toString('utf8'), path);
  }
  try {
    const file = asObject(parseJavaJsonBody(text), 'the file');
    const users = asArray(file.users, 'users').map((value) => {
      const { password, ...user } = userOf(value, 'user');
      if (user.username === '' || password === undefined) throw new Error('a user has no name or no secret');
      return { ...user, password };
    });
    return { users, acls: asArray(file.acls, 'acls').map(aclOf), leftOut: [] };
  } catch (error) {
    const message = `${path} is no export of users and policies: ${(error as Error).message}`;
    throw new CliError('CLI_CONFIG_INVALID', `${message}; nothing was imported`, { path }, error);
  }
}
