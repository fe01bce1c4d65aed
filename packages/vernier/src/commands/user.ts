import { randomBytes } from 'node:crypto';
import { asArray, asObject, parseJavaJsonBody, RequestCode, stringMember } from '@vernier/remoting';
import { type ClusterOptions, knownBrokers, onEach, withCluster } from '../client/on-brokers.ts';
import { CliError } from '../errors.ts';
import { secretFrom } from '../input/secret.ts';
import { printJson } from '../output/print.ts';
import { table } from '../output/table.ts';

export interface UserOptions extends ClusterOptions {
  /** A file with the secret key, `-`: stdin. */
  passwordFile?: string;
  type?: string;
  status?: string;
}

/** A user as brokers show it; its secret to a Super alone. */
export interface ShownUser {
  username: string;
  password?: string;
  userType: string;
  userStatus: string;
}

const SECRET_BYTES = 18;

/** `vernier user create`: without a secret one is made and printed, this once. */
export async function createUser(username: string, options: UserOptions): Promise<number> {
  const given = await secretFrom(options.passwordFile);
  const password = given ?? randomBytes(SECRET_BYTES).toString('base64url');
  return withCluster(options, async (cluster) => {
    const brokers = await knownBrokers(cluster, options.broker);
    const user = { username, password, userType: options.type, userStatus: options.status };
    const body = Buffer.from(JSON.stringify(user));
    await onEach(brokers, (address) => cluster.call(address, RequestCode.AUTH_CREATE_USER, { username }, { body }));
    const made = given === undefined ? { secretKey: password } : {};
    if (options.json) await printJson({ username, ...made, brokers: brokers.map(({ brokerName }) => brokerName) });
    else if (given === undefined) process.stdout.write(`${username}: created, with the secret key ${password}\n`);
    else process.stdout.write(`${username}: created\n`);
  });
}

/** `vernier user update`: what is not given stays as it is. */
export async function updateUser(username: string, options: UserOptions): Promise<number> {
  const password = await secretFrom(options.passwordFile);
  if (password === undefined && options.type === undefined && options.status === undefined) {
    throw new CliError('CLI_USAGE', 'nothing to change: give --password-file, --type or --status');
  }
  return withCluster(options, async (cluster) => {
    const user = { username, password, userType: options.type, userStatus: options.status };
    const body = Buffer.from(JSON.stringify(user));
    const brokers = await knownBrokers(cluster, options.broker);
    await onEach(brokers, (address) => cluster.call(address, RequestCode.AUTH_UPDATE_USER, { username }, { body }));
    if (options.json) await printJson({ username, updated: true });
    else process.stdout.write(`${username}: changed\n`);
  });
}

/** `vernier user delete`: its policies go with it. */
export function deleteUser(username: string, options: UserOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const brokers = await knownBrokers(cluster, options.broker);
    await onEach(brokers, (address) => cluster.call(address, RequestCode.AUTH_DELETE_USER, { username }));
    if (options.json) await printJson({ username, deleted: true });
    else process.stdout.write(`${username}: deleted, with its policies\n`);
  });
}

/** `vernier user get`, of the first broker; it prints no secret but as JSON, and then to a Super alone. */
export function getUser(username: string, options: UserOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const [{ address }] = await knownBrokers(cluster, options.broker);
    const { body } = await cluster.call(address, RequestCode.AUTH_GET_USER, { username });
    if (body === undefined || body.length === 0) {
      throw new CliError('CLI_REFUSED', `there is no user ${username}`, { username });
    }
    const user = userOf(parseJavaJsonBody(body));
    if (options.json) await printJson(user);
    else process.stdout.write(`${userTable([user])}\n`);
  });
}

/** `vernier user list` */
export function listUsers(filter: string | undefined, options: UserOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const [{ address }] = await knownBrokers(cluster, options.broker);
    const fields = filter === undefined ? {} : { filter };
    const users = usersOf((await cluster.call(address, RequestCode.AUTH_LIST_USER, fields)).body);
    if (options.json) await printJson(users);
    else if (users.length > 0) process.stdout.write(`${userTable(users)}\n`);
    else process.stderr.write('no users\n');
  });
}

/** Of the body of AUTH_LIST_USER, which is empty when there is none. */
export const usersOf = (body: Buffer | undefined): ShownUser[] =>
  body === undefined || body.length === 0
    ? []
    : asArray(parseJavaJsonBody(body), 'users').map((value) => userOf(value));

/** `what` names it in an error. */
export function userOf(value: unknown, what = 'UserInfo'): ShownUser {
  const user = asObject(value, what);
  const password = stringMember(user, 'password');
  return {
    username: stringMember(user, 'username'),
    ...(password === '' ? {} : { password }),
    userType: stringMember(user, 'userType'),
    userStatus: stringMember(user, 'userStatus'),
  };
}

const userTable = (users: readonly ShownUser[]): string =>
  table(
    ['USER', 'TYPE', 'STATUS'],
    users.map(({ username, userType, userStatus }) => [username, userType, userStatus]),
  );
