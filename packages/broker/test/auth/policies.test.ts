import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@vernier/torture';
import {
  type Decision,
  type EntryText,
  entryText,
  merged,
  type Policies,
  type PolicyEntry,
  parseEntry,
  parseResource,
  Rules,
  resourceText,
  without,
} from '../../src/auth/policies.ts';
import { ACTIONS, type Access, type Action, RESOURCE_KINDS } from '../../src/base/identity.ts';

const entry = (
  resource: string,
  actions: string[],
  decision: Decision = 'Allow',
  sourceIps: string[] = [],
): PolicyEntry => {
  const parsed = parseEntry({ resource, actions, decision, sourceIps });
  assert.ok(typeof parsed !== 'string', String(parsed));
  return parsed;
};

const custom = (...entries: PolicyEntry[]): Policies => [{ type: 'Custom', entries }];
const asks = (resource: string, ...actions: Action[]): Access => {
  const [kind, name] = resource.split(':') as [Access['kind'], string];
  return { kind, name, actions };
};
const verdict = (policies: Policies, resource: string, action: Action, address = '10.1.2.3') =>
  new Rules(policies).verdict(asks(resource, action), address);

test('policies: a name goes before a beginning, a longer beginning before a shorter one, that before any, all before *', () => {
  const all = custom(
    entry('*', ['All'], 'Deny'),
    entry('Topic:*', ['All'], 'Allow'),
    entry('Topic:or*', ['Pub'], 'Deny'),
    entry('Topic:orders*', ['Pub'], 'Allow'),
    entry('Topic:orders-eu', ['Pub'], 'Deny'),
  );
  assert.equal(verdict(all, 'Topic:orders-eu', 'Pub'), 'Deny');
  assert.equal(verdict(all, 'Topic:orders-us', 'Pub'), 'Allow');
  assert.equal(verdict(all, 'Topic:oracle', 'Pub'), 'Deny');
  assert.equal(verdict(all, 'Topic:oracle', 'Sub'), 'Allow', 'an entry of other actions is not about it');
  assert.equal(verdict(all, 'Topic:x', 'Pub'), 'Allow');
  assert.equal(verdict(all, 'Group:x', 'Sub'), 'Deny');
});

test('policies: what no entry is about is not allowed, and no other kind is', () => {
  const policies = custom(entry('Topic:T', ['Pub', 'Sub']));
  assert.equal(verdict(policies, 'Topic:T', 'Sub'), 'Allow');
  for (const other of ['Topic:t', 'Topic:TT', 'Topic:', 'Group:T', 'Cluster:T']) {
    assert.equal(verdict(policies, other, 'Sub'), 'none', other);
  }
  assert.equal(verdict(policies, 'Topic:T', 'Delete'), 'none');
  assert.equal(new Rules([]).verdict(asks('Topic:T', 'Pub'), '::1'), 'none');
});

test('policies: the default policy counts where the custom one says nothing', () => {
  const policies: Policies = [
    { type: 'Default', entries: [entry('Topic:*', ['Sub'], 'Allow'), entry('Topic:secret', ['Sub'], 'Deny')] },
    { type: 'Custom', entries: [entry('Topic:*', ['Sub'], 'Deny', ['10.0.0.0/8'])] },
  ];
  assert.equal(verdict(policies, 'Topic:a', 'Sub', '10.9.9.9'), 'Deny');
  assert.equal(verdict(policies, 'Topic:a', 'Sub', '192.168.1.1'), 'Allow');
  assert.equal(verdict(policies, 'Topic:secret', 'Sub', '192.168.1.1'), 'Deny');
});

test('policies: of two entries for one resource a Deny goes first, in whichever order they came', () => {
  const [allow, deny] = [entry('Topic:T', ['All'], 'Allow'), entry('Topic:T', ['Pub'], 'Deny')];
  for (const entries of [
    [allow, deny],
    [deny, allow],
  ]) {
    assert.equal(verdict(custom(...entries), 'Topic:T', 'Pub'), 'Deny');
    assert.equal(verdict(custom(...entries), 'Topic:T', 'Sub'), 'Allow');
  }
});

test('policies: one of the actions asked for is enough; All stands for each', () => {
  const rules = new Rules(custom(entry('Topic:T', ['Get'])));
  assert.equal(rules.verdict(asks('Topic:T', 'Pub', 'Sub', 'Get'), '::1'), 'Allow');
  assert.equal(rules.verdict(asks('Topic:T', 'Pub', 'Sub'), '::1'), 'none');
  for (const action of ACTIONS) assert.equal(verdict(custom(entry('Topic:T', ['all'])), 'Topic:T', action), 'Allow');
});

test('policies: addresses and ranges of both families; what is no address matches none', () => {
  const policies = custom(entry('Topic:T', ['Pub'], 'Allow', ['10.1.0.0/16', '192.168.0.7', '2001:db8::/32', '::1']));
  for (const inside of ['10.1.255.255', '192.168.0.7', '2001:db8:1::5', '0:0:0:0:0:0:0:1']) {
    assert.equal(verdict(policies, 'Topic:T', 'Pub', inside), 'Allow', inside);
  }
  for (const outside of ['10.2.0.0', '192.168.0.8', '2001:db9::1', '::2', '', 'localhost']) {
    assert.equal(verdict(policies, 'Topic:T', 'Pub', outside), 'none', outside);
  }
});

test('policies: resources as text, and what is none', () => {
  for (const text of ['*', 'Topic:*', 'Topic:a', 'Group:a*', 'Cluster:DefaultCluster', 'Topic:%DLQ%g', 'Topic:a:b']) {
    const pattern = parseResource(text);
    assert.ok(typeof pattern !== 'string', text);
    assert.equal(resourceText(pattern), text);
  }
  const lower = parseResource('topic:A');
  assert.ok(typeof lower !== 'string');
  assert.equal(resourceText(lower), 'Topic:A', 'the kind has any case, the name its own');
  for (const text of [
    '',
    ' ',
    'T',
    'Topic',
    'Topic:',
    'Namespace:a',
    'Any:a',
    'Topic:a*b',
    'Topic:**',
    `Topic:${'a'.repeat(256)}`,
  ]) {
    assert.equal(typeof parseResource(text), 'string', text);
  }
});

test('policies: what is wrong with an entry is said', () => {
  const good: EntryText = { resource: 'Topic:T', actions: ['Pub'], sourceIps: [], decision: 'Allow' };
  const cases: [Partial<EntryText>, RegExp][] = [
    [{ resource: '' }, /resource is null/],
    [{ resource: 'Tpoic:T' }, /resource type is null/],
    [{ actions: [] }, /actions is empty/],
    [{ actions: ['Any'] }, /can not be Any/],
    [{ actions: ['Pub', 'Publish'] }, /"Publish" is none of All, Pub/],
    [{ sourceIps: [''] }, /source ip is empty/],
    [{ sourceIps: ['10.0.0.0/33'] }, /prefix of 0 to 32 bits/],
    [{ sourceIps: ['::/129'] }, /prefix of 0 to 128 bits/],
    [{ sourceIps: ['10.0.0.*'] }, /neither an IP address/],
    [{ sourceIps: ['10.0.0.0/8/8'] }, /neither an IP address/],
    [{ decision: '' }, /decision is null/],
    [{ decision: 'Maybe' }, /decision is null/],
  ];
  for (const [change, expected] of cases) assert.match(String(parseEntry({ ...good, ...change })), expected);
  assert.deepEqual(entryText(entry('topic:T', ['PUB', 'pub'], 'Deny')), {
    ...{ resource: 'Topic:T', actions: ['Pub'], decision: 'Deny' },
  });
});

test('policies: laid over others an entry takes the place of that with its resource, in the policy of its type', () => {
  const old: Policies = custom(entry('Topic:a', ['Pub']), entry('Topic:b', ['Pub']));
  const result = merged(old, [
    { type: 'Custom', entries: [entry('Topic:b', ['Sub'], 'Deny'), entry('Topic:c', ['Get'])] },
    { type: 'Default', entries: [entry('*', ['Get'])] },
  ]);
  const texts = result.map(({ type, entries }) => [
    type,
    entries.map((one) => [resourceText(one.pattern), ...one.actions]),
  ]);
  assert.deepEqual(texts, [
    [
      'Custom',
      [
        ['Topic:a', 'Pub'],
        ['Topic:b', 'Sub'],
        ['Topic:c', 'Get'],
      ],
    ],
    ['Default', [['*', 'Get']]],
  ]);
  const topicB = parseResource('Topic:b');
  assert.ok(typeof topicB !== 'string');
  assert.equal(without(result, 'Default', topicB).length, 2, 'not of another type');
  assert.deepEqual(
    without(result, 'Custom', topicB)[0]?.entries.map(({ pattern }) => resourceText(pattern)),
    ['Topic:a', 'Topic:c'],
  );
  const star = parseResource('*');
  assert.ok(typeof star !== 'string');
  assert.deepEqual(
    without(result, 'Default', star).map(({ type }) => type),
    ['Custom'],
    'an empty policy goes',
  );
});

/** RocketMQ AclAuthorizationHandler read word by word: all that match, sorted by pairs, the first of them. */
function naiveVerdict(policies: Policies, { kind, name, actions }: Access): Decision | 'none' {
  for (const type of ['Custom', 'Default']) {
    const matching = policies
      .filter((policy) => policy.type === type)
      .flatMap(({ entries }) => entries)
      .filter(({ pattern }) => {
        if (pattern.form === 'everything') return true;
        if (pattern.kind !== kind) return false;
        if (pattern.form === 'any') return true;
        return pattern.form === 'literal' ? name === pattern.name : name.startsWith(pattern.name);
      })
      .filter((one) => one.actions.includes('All') || one.actions.some((action) => actions.includes(action)));
    const rank = ({ pattern, decision }: PolicyEntry): number[] => [
      ['literal', 'prefix', 'any', 'everything'].indexOf(pattern.form),
      pattern.form === 'prefix' ? -pattern.name.length : 0,
      decision === 'Deny' ? 0 : 1,
    ];
    const before = (a: PolicyEntry, b: PolicyEntry): boolean => {
      const [x, y] = [rank(a), rank(b)];
      const at = x.findIndex((value, index) => value !== y[index]);
      return at >= 0 && x[at]! < y[at]!;
    };
    const first = matching.find((one) => !matching.some((other) => before(other, one)));
    if (first !== undefined) return first.decision;
  }
  return 'none';
}

test('policies: ten thousand random questions are answered as by a naive reading', () => {
  const random = seededRandom(20_261_130);
  const below = (count: number): number => Math.floor(random() * count);
  const pick = <Value>(values: readonly Value[]): Value => values[below(values.length)]!;
  const names = ['a', 'ab', 'abc', 'abd', 'b', ''];
  for (let round = 0; round < 500; round++) {
    const policies: Policies = (['Default', 'Custom'] as const)
      .filter(() => below(4) > 0)
      .map((type) => ({
        type,
        entries: Array.from({ length: 1 + below(8) }, () => {
          const name = pick(['*', 'a', 'a*', 'ab', 'ab*', 'abc', 'b', 'b*']);
          const resource = below(6) === 0 ? '*' : `${pick(RESOURCE_KINDS)}:${name}`;
          const actions = Array.from({ length: 1 + below(3) }, () => pick(ACTIONS));
          return entry(resource, actions, pick(['Allow', 'Deny']));
        }),
      }));
    const rules = new Rules(policies);
    for (let question = 0; question < 20; question++) {
      const actions = Array.from({ length: 1 + below(2) }, () => pick(ACTIONS.filter((one) => one !== 'All')));
      const access: Access = { kind: pick(RESOURCE_KINDS), name: pick(names), actions };
      assert.equal(
        rules.verdict(access, '10.0.0.1'),
        naiveVerdict(policies, access),
        `round ${round}: ${JSON.stringify([policies, access])}`,
      );
    }
  }
});
