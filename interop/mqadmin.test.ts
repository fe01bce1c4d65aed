/**
 * Apache's own mqadmin (rocketmq-tools 5.5.0, MQAdminStartup) against the broker: what an operator types first, and what
 * it prints. The tool ends with 0 whatever happened and reports a failure on standard error, so that is what counts.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrokerPeer } from './peers/broker-peer.ts';
import { brokerKind, createTopic, startBroker } from './peers/brokers.ts';
import { askUntil } from './peers/child.ts';
import { type ClientPeer, type SendReport, startJavaClient, startMqAdmin } from './peers/client-peer.ts';
import { javaMissing } from './peers/java.ts';
import { hasRoute } from './peers/remoting-ask.ts';
import { skipUnless } from './peers/suite.ts';

const topic = 'orders';
const run = 'admin';
const messageCount = 100;

describe(`mqadmin 5.5.0 with ${brokerKind}`, { skip: skipUnless(javaMissing()), timeout: 300_000 }, () => {
  let broker: BrokerPeer;
  let admin: ClientPeer;
  let client: ClientPeer;
  let sent: SendReport;
  let bodies: string;

  const command = async (line: string): Promise<{ out: string; err: string }> => {
    const { out, err } = await admin.call<{ out: string; err: string }>('mqadmin', {
      line: `${line} -n ${broker.namesrvAddr}`,
    });
    // Its logging library reports on itself, once.
    return { out: out.replace(/^.*\|-(INFO|WARN) .*\n/gm, ''), err };
  };
  /** The output of a command that must succeed. */
  const output = async (line: string): Promise<string> => {
    const { out, err } = await command(line);
    assert.equal(err, '', `mqadmin ${line}`);
    return out;
  };
  /** The columns of the lines that begin with `first`. */
  const rows = (out: string, first: string): string[][] =>
    out
      .split('\n')
      .filter((line) => line.startsWith(first))
      .map((line) => line.trim().split(/\s+/));

  before(async () => {
    bodies = mkdtempSync(join(tmpdir(), 'vernier-mqadmin-'));
    broker = await startBroker('SYNC_FLUSH');
    admin = startMqAdmin();
    client = startJavaClient('5.5.0');
    await createTopic(broker, topic, 4);
    const namesrv = broker.namesrvAddr;
    await client.call('consumer.start', { name: 'admin-consumer', group: 'admin_group', namesrv, topic, run });
    await client.call('producer.start', { name: 'admin-producer', group: 'admin_producers', namesrv });
    sent = await client.call<SendReport>('producer.send', {
      ...{ name: 'admin-producer', topic, run, mode: 'sync', count: messageCount },
    });
    assert.deepEqual(sent.status, { SEND_OK: messageCount });
    await client.call('consumer.await', { name: 'admin-consumer', distinct: messageCount });
  });
  after(async () => {
    await Promise.all([admin?.stop(), client?.stop()]);
    await broker?.stop();
    rmSync(bodies, { recursive: true, force: true });
  });

  it('clusterList names the cluster, the broker, its address and version', async () => {
    const out = await output('clusterList');
    const [row] = rows(out, 'DefaultCluster');
    assert.deepEqual(row!.slice(0, 4), ['DefaultCluster', 'broker-a', '0', broker.brokerAddr]);
    assert.match(row![4]!, /^V\d+_\d+_\d+$/);
  });

  it('brokerStatus shows the runtime keys, with the log and the messages counted', async () => {
    const out = await output(`brokerStatus -b ${broker.brokerAddr}`);
    const values = new Map(
      out
        .split('\n')
        .filter((line) => line.includes(':'))
        .map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()] as const),
    );
    assert.equal(values.get('msgPutTotalTodayNow'), String(messageCount));
    assert.equal(values.get('commitLogMinOffset'), '0');
    assert.ok(Number(values.get('commitLogMaxOffset')) > 100 * messageCount, `commitLogMaxOffset in\n${out}`);
    assert.equal(values.get('dispatchBehindBytes'), '0');
    assert.equal(values.get('brokerActive'), 'true');
    for (const key of [
      'bootTimestamp',
      'brokerVersionDesc',
      'commitLogDiskRatio',
      'runtime',
      'putTps',
      'getTotalTps',
    ]) {
      assert.ok(values.get(key), `${key} in\n${out}`);
    }
  });

  it('topicList names the topic and the group’s retry topic', async () => {
    const topics = (await output('topicList')).split('\n').map((line) => line.trim());
    for (const name of [topic, '%RETRY%admin_group', 'TBW102'])
      assert.ok(topics.includes(name), `${name} in ${topics}`);
  });

  it('topicRoute gives the broker’s address and the queues', async () => {
    const out = await output(`topicRoute -t ${topic}`);
    assert.ok(out.includes(`"${broker.brokerAddr}"`), out);
    for (const part of ['"brokerName":"broker-a"', '"readQueueNums":4', '"writeQueueNums":4', '"perm":6']) {
      assert.ok(out.replaceAll(': ', ':').includes(part), `${part} in\n${out}`);
    }
  });

  it('topicRoute of a topic that does not exist fails with TOPIC_NOT_EXIST', async () => {
    const { err } = await command('topicRoute -t no_such_topic');
    assert.match(err, /CODE: 17 {2}DESC: No topic route info in name server for the topic: no_such_topic/);
  });

  it('topicStatus shows each queue’s offsets', async () => {
    const found = rows(await output(`topicStatus -t ${topic}`), 'broker-a');
    assert.deepEqual(
      found.map((row) => row.slice(1, 3)),
      [0, 1, 2, 3].map((queue) => [String(queue), '0']),
    );
    assert.equal(
      found.reduce((sum, row) => sum + Number(row[3]), 0),
      messageCount,
    );
    assert.ok(found.every((row) => /^\d{4}-\d\d-\d\d$/.test(row[4]!)));
  });

  it('queryCq shows the entries of a queue as they stand', async () => {
    const out = await output(`queryCq -t ${topic} -q 0 -i 1 -c 2 -b ${broker.brokerAddr} -g admin_group`);
    assert.match(out, /max: \d+, min: 0/);
    assert.match(out, /"subString": ?"\*"/);
    assert.equal(out.match(/^idx: \d+/gm)?.join(), 'idx: 1,idx: 2');
    assert.match(out, /physicOffset=\d+, physicSize=\d+, tagsCode=-?\d+/);
  });

  it('cleanExpiredCQ, cleanUnusedTopic and haStatus are answered', async () => {
    assert.match(await output(`cleanExpiredCQ -b ${broker.brokerAddr}`), /success/);
    assert.match(await output(`cleanUnusedTopic -b ${broker.brokerAddr}`), /success/);
    assert.match(await output(`haStatus -b ${broker.brokerAddr}`), /#MasterCommitLogMaxOffset\s+\d+/i);
  });

  it('getNamesrvConfig shows the port', async () => {
    const port = broker.namesrvAddr.split(':')[1];
    assert.match(await output('getNamesrvConfig'), new RegExp(`listenPort\\s*=\\s*${port}`));
  });

  it('updateTopic takes the message types of 5.5', async () => {
    for (const type of ['PRIORITY', 'LITE']) {
      const line = `updateTopic -b ${broker.brokerAddr} -t of_type_${type} -r 1 -w 1 -a +message.type=${type}`;
      assert.match(await output(line), /create topic to .* success/);
    }
  });

  it('updateTopic creates and changes a topic, deleteTopic removes it', async () => {
    assert.match(
      await output(`updateTopic -b ${broker.brokerAddr} -t made_by_mqadmin -r 3 -w 2`),
      /create topic to .* success/,
    );
    let route = await output('topicRoute -t made_by_mqadmin');
    assert.match(route, /"readQueueNums": ?3/);
    assert.match(route, /"writeQueueNums": ?2/);
    assert.match(
      await output('updateTopic -c DefaultCluster -t made_by_mqadmin -r 5 -w 5'),
      /create topic to .* success/,
    );
    await askUntil('the changed route', 20_000, undefined, async () => {
      route = await output('topicRoute -t made_by_mqadmin');
      return /"readQueueNums": ?5/.test(route) ? true : undefined;
    });
    assert.match(await output('deleteTopic -c DefaultCluster -t made_by_mqadmin'), /delete topic .* success/);
    await askUntil('the route gone', 20_000, undefined, async () =>
      (await hasRoute(broker.namesrvAddr, 'made_by_mqadmin')) ? undefined : true,
    );
    assert.ok(!(await output('topicList')).includes('made_by_mqadmin'));
  });

  it('consumerProgress shows what the group consumed', async () => {
    await askUntil('the committed offsets', 20_000, undefined, async () => {
      const out = await output('consumerProgress -g admin_group');
      const found = rows(out, topic);
      assert.equal(found.length, 4);
      const sum = (column: number): number => found.reduce((total, row) => total + Number(row[column]), 0);
      assert.equal(sum(3), messageCount);
      return sum(4) === messageCount && /Consume Diff Total: 0/.test(out) ? true : undefined;
    });
    const [group] = rows(await output('consumerProgress'), 'admin_group');
    assert.deepEqual([group![1], group![3], group![4]], ['1', 'PUSH', 'CLUSTERING']);
  });

  it('producerConnection and consumerConnection show the clients', async () => {
    const producers = await output(`producerConnection -g admin_producers -t ${topic}`);
    assert.match(producers, /@admin-producer\s+127\.0\.0\.1:\d+\s+JAVA\s+V5_5_0/);
    const consumers = await output('consumerConnection -g admin_group');
    assert.match(consumers, /@admin-consumer\s+127\.0\.0\.1:\d+\s+JAVA\s+V5_5_0/);
    assert.match(consumers, /^orders\s+\*$/m);
    assert.match(consumers, /^%RETRY%admin_group\s+\*$/m);
    for (const line of [
      'ConsumeType: CONSUME_PASSIVELY',
      'MessageModel: CLUSTERING',
      'ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET',
    ]) {
      assert.ok(consumers.includes(line), `${line} in\n${consumers}`);
    }
  });

  it('queryMsgById, queryMsgByKey and queryMsgByUniqueKey find a message', async () => {
    const sample = sent.samples[7]!;
    const byId = await output(`queryMsgById -i ${sample.offsetMsgId} -t ${topic} -d ${join(bodies, 'by-id')}`);
    const shown = (name: string): string | undefined => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(byId)?.[1];
    assert.deepEqual(
      [shown('Topic'), shown('Tags'), shown('Keys'), shown('Queue ID'), shown('Queue Offset'), shown('Store Host')],
      [
        topic,
        '[TagB]',
        '[admin-7 admin-group-7]',
        String(sample.queueId),
        String(sample.queueOffset),
        broker.brokerAddr,
      ],
    );
    assert.match(shown('Properties')!, /city=上海-7/);
    assert.match(byId, /MessageTrack \[consumerGroup=admin_group, trackType=CONSUMED/);
    const body = readFileSync(/^Message Body Path:\s+(.*)$/m.exec(byId)![1]!, 'utf8');
    assert.equal(body, `admin:7:${'北京αβγ😀-7;'.repeat(2)}`);
    const byKey = await output(`queryMsgByKey -t ${topic} -k admin-7`);
    assert.deepEqual(
      rows(byKey, sample.msgId).map((row) => row.slice(0, 3)),
      [[sample.msgId, String(sample.queueId), String(sample.queueOffset)]],
    );
    const byUniqueKey = await output(`queryMsgByUniqueKey -t ${topic} -i ${sample.msgId} -d ${join(bodies, 'by-key')}`);
    assert.match(byUniqueKey, /^Keys:\s+\[admin-7 admin-group-7\]$/m);
  });

  it('printMsg prints every message of the topic', async () => {
    const out = await output(`printMsg -t ${topic} -d true`);
    const found = [...out.matchAll(/^MSGID: (\S+) .*?BODY: (\S+)/gm)];
    assert.equal(found.length, messageCount);
    assert.equal(new Set(found.map((match) => match[1])).size, messageCount);
    assert.ok(found.some((match) => match[2] === `admin:7:${'北京αβγ😀-7;'.repeat(2)}`));
  });

  it('what the tool has no command for: where members are, offsets cloned by the broker, a topic forbidden', async () => {
    const namesrv = broker.namesrvAddr;
    const group = { namesrv, topic, group: 'admin_group' };
    const status = await admin.call<Record<string, Record<string, number>>>('ext.status', group);
    const [[clientId, offsets] = ['', {}], ...others] = Object.entries(status);
    assert.match(clientId, /@admin-consumer$/);
    assert.deepEqual(others, []);
    assert.deepEqual(Object.keys(offsets), ['0', '1', '2', '3']);
    assert.equal(
      Object.values(offsets).reduce((sum, offset) => sum + offset, 0),
      messageCount,
    );
    assert.deepEqual(await admin.call('ext.status', { ...group, client: 'nobody' }), {});

    await output(`updateSubGroup -b ${broker.brokerAddr} -g admin_cloned`);
    await admin.call('ext.clone', { ...group, to: 'admin_cloned' });
    // Once: the tool keeps the client of this command, and a second time in one process it is one that is shut down.
    const out = await output(`brokerConsumeStats -b ${broker.brokerAddr}`);
    for (const each of ['admin_group', 'admin_cloned']) {
      assert.equal(rows(out, topic).filter((row) => row.includes(each)).length, 4, `${each} in\n${out}`);
    }
    assert.match(out, /Diff Total: \d+/);

    const forbid = { ...group, broker: broker.brokerAddr };
    assert.equal(await admin.call('ext.forbid', forbid), true);
    assert.equal(await admin.call('ext.forbid', { ...forbid, readable: 'false' }), false);
    assert.equal(await admin.call('ext.forbid', forbid), false);
    assert.equal(await admin.call('ext.forbid', { ...forbid, readable: 'true' }), true);
  });

  it('cloneGroupOffset puts a group where the other one is; resetOffsetByTime and skipAccumulatedMessage move it', async () => {
    const lag = async (): Promise<number> => {
      const found = rows(await output('consumerProgress -g admin_copy'), topic);
      assert.equal(found.length, 4);
      return found.reduce((sum, row) => sum + Number(row[3]) - Number(row[4]), 0);
    };
    await output(`updateSubGroup -b ${broker.brokerAddr} -g admin_copy`);
    // The tool asks for the topic of the group's retries, which its first member makes.
    await output(`updateTopic -b ${broker.brokerAddr} -t %RETRY%admin_copy -r 1 -w 1`);
    assert.match(
      await output(`cloneGroupOffset -s admin_group -d admin_copy -t ${topic} -o true`),
      /clone group offset success/,
    );
    assert.equal(await lag(), 0);
    const reset = await output(`resetOffsetByTime -g admin_copy -t ${topic} -s 0 -f true`);
    assert.deepEqual(
      rows(reset, 'broker-a').map((row) => row[2]),
      ['0', '0', '0', '0'],
      reset,
    );
    assert.equal(await lag(), messageCount);
    await output(`skipAccumulatedMessage -g admin_copy -t ${topic} -f true`);
    assert.equal(await lag(), 0);
  });

  it('deleteExpiredCommitLog and resetMasterFlushOffset are answered; getBrokerEpoch is for controllers', async () => {
    assert.match(await output(`deleteExpiredCommitLog -b ${broker.brokerAddr}`), /success/);
    assert.match(await output(`resetMasterFlushOffset -b ${broker.brokerAddr} -o 0`), /offset to 0 success/);
    assert.match(
      (await command('getBrokerEpoch -b broker-a')).err,
      /CODE: 1 {2}DESC: this request only for controllerMode/,
    );
  });

  it('wipeWritePerm and addWritePerm take the broker out of the routes of producers and put it back', async () => {
    assert.match(await output('wipeWritePerm -b broker-a'), /wipe write perm of broker\[broker-a\] .* OK, \d+/);
    assert.match(await output(`topicRoute -t ${topic}`), /"perm": ?4/);
    assert.match(await output('addWritePerm -b broker-a'), /add write perm of broker\[broker-a\] .* OK, \d+/);
    assert.match(await output(`topicRoute -t ${topic}`), /"perm": ?6/);
  });

  it('names and values, the order of a topic, and settings of the nameserver are kept', async () => {
    assert.match(await output('updateKvConfig -s space -k name -v value'), /create or update kv config.* success/);
    assert.match(await output('deleteKvConfig -s space -k name'), /delete kv config.* success/);
    assert.match(await output(`updateOrderConf -t ${topic} -v broker-a:4 -m put`), /update orderConf success/);
    assert.match(await output(`updateOrderConf -t ${topic} -m get`), /orderConf=\[broker-a:4\]/);
    assert.match(await output(`updateOrderConf -t ${topic} -m delete`), /delete orderConf success/);
    assert.match(await output('updateNamesrvConfig -k enableTopicList -v true'), /update name server config success/);
    assert.match(await output('getNamesrvConfig'), /enableTopicList\s*=\s*true/);
    const line = `-b ${broker.brokerAddr}`;
    assert.match(await output(`updateBrokerConfig ${line} -k slaveReadEnable -v true`), /update broker config success/);
    assert.match(await output(`getBrokerConfig ${line}`), /slaveReadEnable\s*=\s*true/);
    await output(`updateBrokerConfig ${line} -k slaveReadEnable -v false`);
  });

  it('what an operator looks at or exports is answered as a whole', async () => {
    const at = `-b ${broker.brokerAddr}`;
    assert.match(await output('topicClusterList -t orders'), /DefaultCluster/);
    assert.match(await output('getConsumerConfig -g admin_group'), /retryMaxTimes\s*=\s*16/);
    assert.match(await output(`producer ${at}`), /admin_producers/);
    // Without a client it writes files where it runs.
    const [clientId] = /\S+@admin-consumer/.exec(await output('consumerConnection -g admin_group'))!;
    assert.match(await output(`consumerStatus -g admin_group -i ${clientId}`), /#Consumer Subscription#/);
    assert.match(await output(`statsAll -t ${topic}`), /orders\s+admin_group/);
    assert.match(await output(`queryMsgByOffset -t ${topic} -b broker-a -i 0 -o 0`), /OffsetID:\s+[0-9A-F]{32}/);
    assert.match(await output(`printMsgByQueue -t ${topic} -a broker-a -i 0 -p true`), /MSGID/);
    assert.match(await output(`allocateMQ -t ${topic} -i 1.1.1.1,2.2.2.2`), /"queueId": ?3/);
    assert.match(await output('sendMessage -t admin_sent -p body'), /SEND_OK/);
    assert.match(await output(`updateTopicPerm ${at} -t admin_sent -p 4`), /update topic perm from 6 to 4/);
    assert.match(
      await output('deleteSubGroup -c DefaultCluster -g admin_copy'),
      /delete subscription group \[admin_copy\]/,
    );
    for (const what of ['exportConfigs', 'exportMetadata', 'exportMetrics']) {
      assert.match(await output(`${what} -c DefaultCluster -f ${bodies}`), /export .* success/, what);
    }
    const metadata = JSON.parse(readFileSync(join(bodies, 'metadata.json'), 'utf8'));
    assert.ok(metadata.topicConfigTable[topic]);
    assert.ok(metadata.subscriptionGroupTable.admin_group);
  });
});
