import assert from 'node:assert/strict';
import test from 'node:test';
import { createTopicConfig } from '@vernier/remoting';
import { subscriptionGroup } from '../../src/groups/subscription-group-config.ts';
import { goesByPriority, priorityQueue } from '../../src/pop/priority-order.ts';
import { property } from '../harness.ts';
import { PopMachine, SECOND } from './pop-machine.ts';

const topicOf = (type: string, readQueueNums = 4) =>
  createTopicConfig('T', {
    ...{ readQueueNums, writeQueueNums: readQueueNums },
    attributes: new Map([['message.type', type]]),
  });

async function machineWith(type = 'PRIORITY', config = {}): Promise<PopMachine> {
  const pop = await PopMachine.start({}, config);
  pop.context.topics.update(topicOf(type));
  return pop;
}

const send = async (pop: PopMachine, ...priorities: readonly number[]): Promise<void> => {
  for (const priority of priorities) {
    await pop.broker.send('T', `p${priority}`, property('_SYS_MSG_PRIORITY_', String(priority)));
  }
};

const any = { queueId: -1 };

test('priority: a pop of any queue gives the highest first, whatever it draws', async () => {
  for (const draw of [0, 0.25, 0.5, 0.99]) {
    const pop = await machineWith();
    pop.random = () => draw;
    await send(pop, 0, 2, 3, 1, 3);
    assert.deepEqual(await pop.bodies({ ...any, maxMessages: 3 }), ['p3', 'p3', 'p2'], `draw ${draw}`);
    await send(pop, 3);
    assert.deepEqual(await pop.bodies(any), ['p3', 'p1', 'p0'], `draw ${draw}`);
    await pop.broker.stop();
  }
});

test('priority: a queue that is asked for is the only one that is looked at', async () => {
  const pop = await machineWith();
  await send(pop, 0, 3);
  assert.deepEqual(await pop.bodies({ queueId: 0 }), ['p0']);
  await pop.broker.stop();
});

test('priority: priorityOrderAsc=false turns the order round', async () => {
  const pop = await machineWith('PRIORITY', { priorityOrderAsc: false });
  await send(pop, 3, 0, 2);
  assert.deepEqual(await pop.bodies(any), ['p0', 'p2', 'p3']);
  await pop.broker.stop();
});

test('priority: priority.factor is how many percent of the pops go by it', async () => {
  const pop = await machineWith();
  pop.context.groups.update(subscriptionGroup('g', { attributes: { 'priority.factor': '30' } }));
  await send(pop, 0, 1, 2, 3);
  // Whole numbers from 0 to 99 are drawn: 29 is below the factor, 33 is not and begins at queue 1.
  pop.random = () => 0.33;
  assert.deepEqual(await pop.bodies({ ...any, maxMessages: 1 }), ['p1']);
  pop.random = () => 0.29;
  assert.deepEqual(await pop.bodies({ ...any, maxMessages: 1 }), ['p3']);
  await pop.broker.stop();
});

test('priority: of topics of other types and in order nothing goes by it', async () => {
  const group = subscriptionGroup('g');
  for (const type of ['NORMAL', 'FIFO', 'MIXED', 'priority'])
    assert.equal(goesByPriority(topicOf(type), group, 0), false);
  assert.equal(goesByPriority(createTopicConfig('T'), group, 0), false);
  const pop = await machineWith();
  pop.random = () => 0;
  await send(pop, 0, 3);
  assert.deepEqual(await pop.bodies({ ...any, isOrdered: true, maxMessages: 1 }), ['p0']);
  await pop.broker.stop();
});

test('priority: retries come behind, whatever is drawn; popFromRetryProbabilityForPriority puts them first', async () => {
  for (const share of [0, 100]) {
    const pop = await machineWith('PRIORITY', { popFromRetryProbabilityForPriority: share });
    pop.random = () => 0;
    await send(pop, 3);
    assert.deepEqual(await pop.bodies(any), ['p3']);
    await pop.advance(31 * SECOND);
    await send(pop, 0);
    const bodies = await pop.bodies({ ...any, maxMessages: 1 });
    assert.deepEqual(bodies, share === 0 ? ['p0'] : ['p3'], `${share} percent`);
    await pop.broker.stop();
  }
});

test('priority: a factor that is no number is the default; the lowest is never', () => {
  const factor = (value: string, draw: number) =>
    goesByPriority(topicOf('PRIORITY'), subscriptionGroup('g', { attributes: { 'priority.factor': value } }), draw);
  assert.equal(factor('all', 99), true);
  assert.equal(factor('0', 0), false);
  assert.equal(factor('100', 99), true);
  assert.deepEqual(
    [0, 1, 2].map((index) => priorityQueue(index, 3, true)),
    [2, 1, 0],
  );
});
