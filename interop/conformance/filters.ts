/** Tags, SQL92, and what a group says it subscribes to. */
import { type Bench, said } from './bench.ts';
import { type Chapter, type Names, restartCase } from './case.ts';

/** Which of these messages an expression lets through; or the refusal. */
async function through(
  bench: Bench,
  { topic }: Names,
  messages: readonly Record<string, string>[],
  expressions: readonly string[],
  expressionType: 'SQL92' | 'TAG' = 'SQL92',
): Promise<string> {
  await bench.topic(topic);
  for (const properties of messages) await bench.put(topic, { properties });
  await bench.recordsUntil(topic, messages.length);
  const outcomes: string[] = [];
  for (const subscription of expressions) {
    const values = { subscription, expressionType, consumerGroup: `${topic}_reader` };
    const first = await bench.pull(topic, 0, values);
    if (first.code !== 0 && first.code !== 20) outcomes.push(said(first));
    else {
      const offsets = (await bench.records(topic, values)).map(({ queueOffset }) => queueOffset);
      outcomes.push(offsets.length === 0 ? 'none' : offsets.join(' '));
    }
  }
  return outcomes.join('; ');
}

const subscriptionOf = (topic: string, subString: string, expressionType: string, subVersion: number): object => ({
  classFilterMode: false,
  topic,
  subString,
  tagsSet: expressionType === 'TAG' && subString !== '*' ? subString.split('||').map((tag) => tag.trim()) : [],
  codeSet: [],
  subVersion,
  expressionType,
});

const member = (groupName: string, subscriptions: object[], more: object = {}): object => ({
  groupName,
  consumeType: 'CONSUME_PASSIVELY',
  messageModel: 'CLUSTERING',
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  subscriptionDataSet: subscriptions,
  unitMode: false,
  ...more,
});

const check = (bench: Bench, topic: string, group: string, subString: string, expressionType = 'SQL92') => {
  const body = { clientId: 'c', group, subscriptionData: subscriptionOf(topic, subString, expressionType, 1) };
  return bench.ask(46, {}, JSON.stringify(body));
};

export const filters: Chapter = {
  title: 'Tags and SQL92',
  cases: [
    {
      behaviour: 'tags: `TagA`, `TagA || TagB`, blanks, an empty expression, `*`, a tag nobody has',
      client: 'wire',
      run: (bench, names) =>
        through(
          bench,
          names,
          [{ TAGS: 'TagA' }, { TAGS: 'TagB' }, { TAGS: 'TagC' }, {}],
          ['TagA', 'TagA || TagB', ' TagA||TagC ', '', '*', 'TagX', '||'],
          'TAG',
        ),
    },
    {
      behaviour: 'tags `Aa` and `BB` share a hash: the broker gives both',
      client: 'wire',
      run: (bench, names) => through(bench, names, [{ TAGS: 'Aa' }, { TAGS: 'BB' }, { TAGS: 'AA' }], ['Aa'], 'TAG'),
    },
    {
      behaviour: 'tags `Aa` and `BB`: the client takes its own only',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic);
        await bench.java('wide.send', { topic, count: 6, tags: 'Aa,BB' });
        return consumed(bench, { topic, group, expression: 'Aa' }, 3);
      },
    },
    {
      behaviour: 'a listener with a tag',
      client: 'Go',
      async run(bench, { topic, group }) {
        await bench.routed(topic);
        await bench.java('delay.send', { group: `${group}_p`, topic, run: topic, level: 0, count: 9 });
        const client = bench.client('Go');
        const [name, { namesrv }] = [bench.unique('tagged'), bench];
        await client.call('consumer.start', { name, group, namesrv, topic, run: topic, tags: 'TagB' });
        await client.call('consumer.await', { name, distinct: 3 });
        const report = await client.call<{ tags: object; total: number }>('consumer.stop', { name });
        return `${report.total} of 9: ${Object.keys(report.tags).join(' ')}`;
      },
    },
    {
      behaviour: "`a <> 'x'`, `NOT (a CONTAINS 'x')`, `a = b`, `a <> b`, `NOT a` of a message with none of them",
      client: 'wire',
      edge: 'B.12',
      run: (bench, names) =>
        through(
          bench,
          names,
          [{ c: '1' }],
          ["a <> 'x'", "NOT (a CONTAINS 'x')", 'a = b', 'a <> b', 'NOT a', 'a IS NULL'],
        ),
    },
    {
      behaviour: '`a > 5`, `a > 5.0`, `a LIKE \'x%\'` with "5.5", "7", "x1"',
      client: 'wire',
      edge: 'B.13',
      run: (bench, names) =>
        through(bench, names, [{ a: '5.5' }, { a: '7' }, { a: 'x1' }], ['a > 5', 'a > 5.0', "a LIKE 'x%'"]),
    },
    {
      behaviour: 'what stands behind a complete expression: `a > 5 + 1`, `a > 007`, `a = 1)`',
      client: 'wire',
      run: (bench, names) => through(bench, names, [{ a: '1' }, { a: '6' }], ['a > 5 + 1', 'a > 007', 'a = 1)']),
    },
    {
      behaviour: "a property that is no number: `a=5 OR b='x'`, `b='x' OR a=5`",
      client: 'wire',
      run: (bench, names) => through(bench, names, [{ a: 'abc', b: 'x' }], ["a=5 OR b='x'", "b='x' OR a=5"]),
    },
    {
      behaviour:
        "CHECK_CLIENT_CONFIG of what is none: empty, `IN (1,2)`, `a > '5'`, `BETWEEN 5 AND 3`, `a > 0.0`, `a = NULL`, `a.b = 1`, `(a = 1`",
      client: 'wire',
      edge: 'B.13',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const answers: string[] = [];
        for (const expression of [
          '',
          'a IN (1,2)',
          "a > '5'",
          'a BETWEEN 5 AND 3',
          'a > 0.0',
          'a = NULL',
          'a.b = 1',
          '(a = 1',
        ]) {
          answers.push(said(await check(bench, topic, group, expression)));
        }
        return answers.join(', ');
      },
    },
    {
      behaviour: 'a pull that brings `a IN (1,2)`, which is none',
      client: 'wire',
      differs: 'A pull that brings an SQL92 expression',
      run: (bench, names) => through(bench, names, [{ a: '1' }], ['a IN (1,2)']),
    },
    {
      behaviour: 'CHECK_CLIENT_CONFIG of a good expression, of a bad one, of tags',
      client: 'wire',
      async run(bench, { topic, group }) {
        await bench.topic(topic);
        const answers = [
          await check(bench, topic, group, 'a > 5'),
          await check(bench, topic, group, 'a >'),
          await check(bench, topic, group, 'TagA', 'TAG'),
        ];
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'MessageSelector.bySql: what a listener gets',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic);
        await bench.java('wide.send', { topic, count: 10 });
        return consumed(bench, { topic, group, sql: true, expression: 'index BETWEEN 3 AND 5' }, 3);
      },
    },
    {
      behaviour: 'MessageSelector.bySql with an expression that is none: the start fails',
      client: 'Java',
      async run(bench, { topic, group }) {
        await bench.routed(topic);
        const values = { name: bench.unique('refused'), topic, group, sql: true, expression: 'index >' };
        const error = await bench.java('wide.consume', values).then(
          () => 'started',
          (problem: Error) => problem.message,
        );
        return /CODE: \d+/.exec(error)?.[0] ?? error.slice(0, 60);
      },
    },
    {
      behaviour:
        'a pull without a subscription of its own: of a group that never said one, of an older and a newer version',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        await bench.topic(topic);
        await bench.put(topic, { properties: { TAGS: 'TagA' } });
        await bench.recordsUntil(topic, 1);
        const session = await bench.session();
        await bench.heartbeat(session, 'versions', {
          consumer: member(group, [subscriptionOf(topic, '*', 'TAG', 100)]),
        });
        const pull = (consumerGroup: string, subVersion: number) =>
          bench.pull(topic, 0, { consumerGroup, subVersion, sysFlag: 0, subscription: '' });
        const answers = [
          await pull(other('nobody'), 100),
          await pull(group, 100),
          await pull(group, 99),
          await pull(group, 101),
        ];
        session.close();
        return answers.map(said).join(', ');
      },
    },
    {
      behaviour: 'two members of a group with different topics: the last heartbeat’s are the group’s',
      client: 'wire',
      async run(bench, { topic, group, other }) {
        for (const each of [topic, other('t2')]) {
          await bench.topic(each);
          await bench.put(each);
          await bench.recordsUntil(each, 1);
        }
        const sessions = [await bench.session(), await bench.session()];
        for (const [index, each] of [topic, other('t2')].entries()) {
          const consumer = member(group, [subscriptionOf(each, '*', 'TAG', 1)]);
          await bench.heartbeat(sessions[index]!, `member${index}`, { consumer });
        }
        const answers: string[] = [];
        for (const each of [topic, other('t2')]) {
          answers.push(
            said(await bench.pull(each, 0, { consumerGroup: group, sysFlag: 0, subVersion: 0, subscription: '' })),
          );
        }
        for (const session of sessions) session.close();
        return answers.join(', ');
      },
    },
    restartCase({
      behaviour: 'a SQL92 group after SIGKILL, before and after its next heartbeat',
      client: 'wire',
      async before(bench, { topic, group }) {
        await bench.topic(topic);
        for (const a of ['1', '9']) await bench.put(topic, { properties: { a } });
        await bench.recordsUntil(topic, 2);
        const session = await bench.session();
        await bench.heartbeat(session, 'sql', {
          consumer: member(group, [subscriptionOf(topic, 'a > 5', 'SQL92', 7)]),
        });
        session.close();
      },
      async after(bench, { topic, group }) {
        const pull = () => bench.pull(topic, 0, { consumerGroup: group, sysFlag: 0, subVersion: 7, subscription: '' });
        const before = await pull();
        const session = await bench.session();
        await bench.heartbeat(session, 'sql', {
          consumer: member(group, [subscriptionOf(topic, 'a > 5', 'SQL92', 7)]),
        });
        const after = await pull();
        session.close();
        return `${said(before)}; ${said(after)}, ${bench.decode(after.body).map(({ queueOffset }) => queueOffset)}`;
      },
    }),
  ],
};

interface Delivery {
  index: string;
}

/** The indexes that a Java listener gets, once so many are there and a second is over. */
export async function consumed(
  bench: Bench,
  values: Record<string, string | number | boolean>,
  count: number,
): Promise<string> {
  const name = bench.unique('listener');
  await bench.java('wide.consume', { name, ...values });
  const deliveries = () => bench.java<Delivery[]>('wide.deliveries', { name });
  await bench.until(
    `${count} deliveries`,
    async () => ((await deliveries()).length >= count ? true : undefined),
    60_000,
  );
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const indexes = (await deliveries()).map(({ index }) => Number(index)).sort((a, b) => a - b);
  await bench.java('wide.stop', { name });
  return `messages ${indexes.join(' ')}`;
}

export { member, subscriptionOf };
