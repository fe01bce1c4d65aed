import { asArray, asObject, asStrings, parseJavaJsonBody, RequestCode, stringMember } from '@vernier/remoting';
import type { Cluster } from '../client/cluster.ts';
import { type ClusterOptions, knownBrokers, onEach, withCluster } from '../client/on-brokers.ts';
import { printJson } from '../output/print.ts';
import { table } from '../output/table.ts';

export interface AclOptions extends ClusterOptions {
  resource?: string[];
  actions?: string;
  sourceIp?: string[];
  decision?: string;
  policy?: string;
}

export interface AclListOptions extends ClusterOptions {
  user?: string;
  resource?: string;
}

export interface PolicyEntry {
  resource: string;
  actions: string[];
  sourceIps: string[];
  decision: string;
}

export interface Acl {
  subject: string;
  policies: { policyType: string; entries: PolicyEntry[] }[];
}

const subjectOf = (user: string): string => (user.includes(':') ? user : `User:${user}`);

/** `vernier acl create`, `vernier acl update`: an entry takes the place of that with its resource. */
export function putAcl(user: string, options: AclOptions): Promise<number> {
  const subject = subjectOf(user);
  const actions = (options.actions ?? '').split(',').map((action) => action.trim());
  const entries = (options.resource ?? []).map((resource) => ({
    ...{ resource, actions, sourceIps: options.sourceIp ?? [] },
    decision: options.decision ?? 'Allow',
  }));
  const acl = { subject, policies: [{ policyType: options.policy ?? 'Custom', entries }] };
  return withCluster(options, async (cluster) => {
    await putOnAll(cluster, acl, options.broker);
    if (options.json) await printJson(acl);
    else process.stdout.write(`${subject}: ${entries.length} ${entries.length === 1 ? 'entry' : 'entries'} put\n`);
  });
}

/** On all brokers, or on the one that is named. */
export async function putOnAll(cluster: Cluster, acl: Acl, named: string | undefined): Promise<void> {
  const { subject } = acl;
  const body = Buffer.from(JSON.stringify(acl));
  const brokers = await knownBrokers(cluster, named);
  await onEach(brokers, (address) => cluster.call(address, RequestCode.AUTH_CREATE_ACL, { subject }, { body }));
}

/** `vernier acl delete`: the entries of these resources, or without one all policies of the user. */
export function deleteAcl(user: string, options: AclOptions): Promise<number> {
  const subject = subjectOf(user);
  return withCluster(options, async (cluster) => {
    const brokers = await knownBrokers(cluster, options.broker);
    for (const resource of options.resource ?? ['']) {
      const fields = { subject, resource, policyType: options.policy ?? 'Custom' };
      await onEach(brokers, (address) => cluster.call(address, RequestCode.AUTH_DELETE_ACL, fields));
    }
    const what = options.resource === undefined ? 'all policies' : options.resource.join(', ');
    if (options.json) await printJson({ subject, deleted: options.resource ?? true });
    else process.stdout.write(`${subject}: ${what} deleted\n`);
  });
}

/** `vernier acl get`, of the first broker. */
export function getAcl(user: string, options: AclOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const [{ address }] = await knownBrokers(cluster, options.broker);
    const { body } = await cluster.call(address, RequestCode.AUTH_GET_ACL, { subject: subjectOf(user) });
    await print(body === undefined || body.length === 0 ? [] : [aclOf(parseJavaJsonBody(body))], options);
  });
}

/** `vernier acl list` */
export function listAcls(options: AclListOptions): Promise<number> {
  return withCluster(options, async (cluster) => {
    const [{ address }] = await knownBrokers(cluster, options.broker);
    const fields = { subjectFilter: options.user, resourceFilter: options.resource };
    await print(aclsOf((await cluster.call(address, RequestCode.AUTH_LIST_ACL, fields)).body), options);
  });
}

/** Of the body of AUTH_LIST_ACL, which is empty when there is none. */
export const aclsOf = (body: Buffer | undefined): Acl[] =>
  body === undefined || body.length === 0 ? [] : asArray(parseJavaJsonBody(body), 'acls').map(aclOf);

export function aclOf(value: unknown): Acl {
  const acl = asObject(value, 'AclInfo');
  return {
    subject: stringMember(acl, 'subject'),
    policies: asArray(acl.policies, 'policies').map((item) => {
      const policy = asObject(item, 'PolicyInfo');
      return {
        policyType: stringMember(policy, 'policyType', 'Custom'),
        entries: asArray(policy.entries, 'entries').map(entryOf),
      };
    }),
  };
}

function entryOf(value: unknown): PolicyEntry {
  const entry = asObject(value, 'PolicyEntryInfo');
  return {
    resource: stringMember(entry, 'resource'),
    actions: asStrings(entry.actions, 'actions'),
    sourceIps: asStrings(entry.sourceIps, 'sourceIps'),
    decision: stringMember(entry, 'decision'),
  };
}

async function print(acls: readonly Acl[], options: ClusterOptions): Promise<void> {
  if (options.json) return printJson(acls);
  const rows = acls.flatMap(({ subject, policies }) =>
    policies.flatMap(({ policyType, entries }) =>
      entries.map(({ resource, actions, sourceIps, decision }) => [
        ...[subject, policyType, resource, actions.join(','), sourceIps.join(',') || 'all', decision],
      ]),
    ),
  );
  if (rows.length === 0) process.stderr.write('no policies\n');
  else process.stdout.write(`${table(['SUBJECT', 'POLICY', 'RESOURCE', 'ACTIONS', 'SOURCES', 'DECISION'], rows)}\n`);
}
