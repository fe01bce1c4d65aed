/** JSON values that no member of a header or body is meant to hold, as text: some have no value to write them from. */
export const hostileValues: readonly string[] = [
  '{"toString":1,"valueOf":1}',
  '{"__proto__":{"toString":1},"constructor":{"prototype":1},"toJSON":1,"length":4294967295}',
  '{"length":1e9,"0":0,"then":1,"size":1}',
  `${'['.repeat(200_000)}${']'.repeat(200_000)}`,
  `${'{"a":'.repeat(100)}[{"toString":null}]${'}'.repeat(100)}`,
  '[]',
  '[{"toString":1}]',
  '{}',
  '{{"queueId":{"toString":1}}:{"valueOf":1}}',
  '{{"brokerName":"b","queueId":-1,"topic":"t"}:1e300}',
  '{0:{1:{2:3}}}',
  'null',
  'true',
  '-1',
  '1.5',
  '1e308',
  '1e999',
  '9223372036854775807',
  '""',
  '"__proto__"',
  '"{{{"',
  '"\\u0000\\ud800"',
];

const MARK = '"\u0001here\u0001"';

/** `value` as JSON, once for each of its members, items and itself, with `hostile` in that place; and where that is. */
export function* eachMemberAs(value: unknown, hostile: string): Generator<[path: string, text: string]> {
  for (const [path, marked] of marks(value, '$')) {
    yield [path, JSON.stringify(marked).replace(JSON.stringify(MARK), () => hostile)];
  }
}

function* marks(value: unknown, path: string): Generator<[string, unknown]> {
  yield [path, MARK];
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    for (const [where, marked] of marks(member, `${path}.${name}`)) {
      yield [where, Array.isArray(value) ? value.with(Number(name), marked) : { ...value, [name]: marked }];
    }
  }
}
