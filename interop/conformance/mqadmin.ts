/**
 * mqadmin 5.5.0: what each command prints, line by line, with both brokers. Commands of a broker's own measurements are
 * compared by the names that they print; those that never end by themselves (clusterRT, startMonitoring) are left out.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bench, said } from './bench.ts';
import type { Case, Chapter } from './case.ts';
import { command, having, output, settled, shown } from './mqadmin-command.ts';

const TOPIC = 'admin_topic';
const GROUP = 'admin_group';
const PRODUCERS = 'admin_producers';

/** The names in front of `:` or `=`, of what is the same in kind and not in number. */
const names =
  (pattern = /./) =>
  (lines: string[]): string[] =>
    lines
      .filter((line) => /^[\w.-]+ ?[:=]/.test(line) && pattern.test(line))
      .map((line) => line.split(/ ?[:=]/)[0]!)
      .sort();

/** What the commands look at. */
async function prepare(bench: Bench): Promise<void> {
  const { namesrv } = bench;
  const client = bench.client('Java');
  await bench.routed(TOPIC, 4);
  await bench.group(GROUP);
  await client.call('wide.consume', { name: 'admin-consumer', group: GROUP, namesrv, topic: TOPIC });
  await client.call('producer.start', { name: 'admin-producer', group: PRODUCERS, namesrv });
  await bench.routed('admin_other');
  // What makes the producer known to the broker.
  await client.call('producer.send', {
    name: 'admin-producer',
    topic: 'admin_other',
    run: 'admin',
    mode: 'sync',
    count: 1,
  });
  for (let index = 0; index < 20; index += 1) {
    const properties = { KEYS: `admin_key_${index}`, TAGS: 'TagA', UNIQ_KEY: `ADMIN${index}`, index: String(index) };
    await bench.put(TOPIC, { body: `body ${index}`, queueId: index % 4, properties });
  }
  // A client may begin with its heartbeats before it knows a broker; the next ones come after half a minute.
  await bench.until('the producer known', async () => {
    const { err } = await command(bench, `producerConnection -g ${PRODUCERS} -t ${TOPIC}`);
    return err === '' ? true : undefined;
  });
  await bench.until('all consumed', async () => {
    const found = await client.call<unknown[]>('wide.deliveries', { name: 'admin-consumer' });
    if (found.length < 20) return undefined;
    const { out } = await command(bench, `consumerProgress -g ${GROUP}`);
    return /Consume Diff Total: 0/.test(out) ? true : undefined;
  });
}

const isOfRetries = (line: string): boolean => line.startsWith('%RETRY%');

/** Whether the client has an offset of its retry topic yet says nothing of a broker. */
const withoutRetryOffset = (line: string): string =>
  isOfRetries(line) ? line.replace(/ -?\d+$/, ' <n>').replace(/commitOffset=-?\d+/, 'commitOffset=<n>') : line;

/** The client id of the listener, which has the machine's address in it. */
async function listener(bench: Bench): Promise<string> {
  const { out } = await command(bench, `consumerConnection -g ${GROUP}`);
  return /\S+@admin-consumer/.exec(out)?.[0] ?? 'nobody';
}

function withFile(line: string, content: unknown): Case {
  return {
    behaviour: `\`${line.replaceAll('{broker}', 'BROKER')}\``,
    client: 'mqadmin',
    async run(bench) {
      const folder = mkdtempSync(join(tmpdir(), 'vernier-mqadmin-'));
      try {
        const file = join(folder, 'list.json');
        writeFileSync(file, JSON.stringify(content));
        return shown(await command(bench, line.replace('FILE', file)), (lines) => lines);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

/** A command that writes files: that it says so, and no more. */
function exported(what: string): Case {
  return {
    behaviour: `\`${what} -c DefaultCluster -f FOLDER\``,
    client: 'mqadmin',
    async run(bench) {
      const folder = mkdtempSync(join(tmpdir(), 'vernier-mqadmin-'));
      try {
        return shown(await command(bench, `${what} -c DefaultCluster -f ${folder}`), (lines) => lines);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

const ofAdmin = having(/admin_/);

/** What RocketMQ 5.5.0 prints of its status. */
const statusNames = [
  ...['EndTransaction', 'ack', 'litePull', 'pull', 'query', 'send'].flatMap((pool) => [
    `${pool}${pool === 'EndTransaction' ? '' : 'ThreadPool'}QueueSize`,
    `${pool}ThreadPoolQueueCapacity`,
  ]),
  ...['bootTimestamp', 'brokerActive', 'brokerVersionDesc', 'commitLogDirCapacity', 'commitLogDiskRatio'],
  ...['commitLogMaxOffset', 'commitLogMinOffset', 'consumeQueueDiskRatio', 'dispatchBehindBytes', 'dispatchMaxBuffer'],
  ...[
    'earliestMessageTimeStamp',
    'getFoundTps',
    'getMessageEntireTimeMax',
    'getMissTps',
    'getTotalTps',
    'getTransferredTps',
  ],
  ...['msgGetTotalTodayMorning', 'msgGetTotalTodayNow', 'msgGetTotalYesterdayMorning', 'msgPutTotalTodayMorning'],
  ...['msgPutTotalTodayNow', 'msgPutTotalYesterdayMorning', 'pageCacheLockTimeMills', 'putLatency99', 'putLatency999'],
  ...['putMessageAverageSize', 'putMessageDistributeTime', 'putMessageEntireTimeMax', 'putMessageFailedTimes'],
  ...[
    'putMessageSizeTotal',
    'putMessageTimesTotal',
    'putTps',
    'remainHowManyDataToFlush',
    'remainTransientStoreBufferNumbs',
  ],
  ...['runtime', 'startAcceptSendRequestTimeStamp', 'timerCongestNum', 'timerDequeueTps', 'timerEnqueueTps'],
  ...['timerOffsetBehind', 'timerReadBehind'],
];

export const mqadmin: Chapter & { prepare: (bench: Bench) => Promise<void> } = {
  title: 'mqadmin 5.5.0',
  prepare,
  cases: [
    output('updateTopic -b {broker} -t admin_new -r 3 -w 2'),
    output('updateTopic -c DefaultCluster -t admin_new -r 5 -w 5 -a +message.type=FIFO'),
    output('updateTopic -b {broker} -t admin:name'),
    withFile('updateTopicList -b {broker} -f FILE', [
      { topicName: 'admin_list_1', readQueueNums: 2, writeQueueNums: 2, perm: 6, topicFilterType: 'SINGLE_TAG' },
      { topicName: 'admin_list_2', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicFilterType: 'SINGLE_TAG' },
    ]),
    output('updateTopicPerm -b {broker} -t admin_new -p 4'),
    output('updateTopicPerm -b {broker} -t admin_none -p 4'),
    output('topicList', { of: ofAdmin, until: /admin_list_2/ }),
    output('topicClusterList -t admin_topic'),
    output('topicRoute -t admin_topic'),
    output('topicRoute -t admin_none'),
    output('topicStatus -t admin_topic', { of: (lines) => lines.map((line) => line.replace(/(TPS: ).*/, '$1<n>')) }),
    output('topicStatus -t admin_none'),
    output('allocateMQ -t admin_topic -i 1.1.1.1,2.2.2.2'),
    output('statsAll -t admin_topic', { of: (lines) => lines.map((line) => line.split(' ').slice(0, 2).join(' ')) }),
    output('updateSubGroup -b {broker} -g admin_made'),
    output('updateSubGroup -c DefaultCluster -g admin_made -r 5 -q 2'),
    withFile('updateSubGroupList -b {broker} -f FILE', [
      { groupName: 'admin_group_1' },
      { groupName: 'admin_group_2' },
    ]),
    output('getConsumerConfig -g admin_made'),
    output('getConsumerConfig -g admin_nobody'),
    output('consumerProgress -g admin_group', {
      until: /Consume Diff Total: 0/,
      // The retry topic has a row once the client has saved its offset.
      // What it has pulled and not committed (inflight) depends on when it asks next.
      of: (lines) =>
        lines
          .filter((line) => !isOfRetries(line))
          .map((line) => line.replaceAll(/\d+\.\d+/g, '<n>').replace(/-?\d+( <time>$| N\/A$)/, '<n>$1'))
          .map((line) => line.replace(/^(Consume Inflight Total:) .*/, '$1 <n>')),
    }),
    output('consumerProgress -g admin_nobody'),
    output('consumerConnection -g admin_group', { until: /%RETRY%admin_group/ }),
    output('consumerConnection -g admin_nobody'),
    output('producerConnection -g admin_producers -t admin_topic'),
    output('producerConnection -g admin_nobody -t admin_topic'),
    output('producer -b {broker}', { of: having(/admin_producers/) }),
    {
      behaviour: '`consumerStatus -g admin_group -i CLIENT`',
      client: 'mqadmin',
      async run(bench) {
        const line = `consumerStatus -g admin_group -i ${await listener(bench)}`;
        const answer = await settled(bench, line, /%RETRY%admin_group +broker-a/);
        return shown(answer, (lines) =>
          having(/^#|^admin_|^%RETRY%/)(
            lines.map((line) => withoutRetryOffset(line.replaceAll(/ \d+\.\d\d/g, ' <n>'))),
          ),
        );
      },
    },
    output('setConsumeMode -b {broker} -t admin_topic -g admin_made -m POP -q 1'),
    output('queryMsgByKey -t admin_topic -k admin_key_7'),
    output('queryMsgByKey -t admin_topic -k admin_key_none'),
    output('queryMsgByUniqueKey -t admin_topic -i ADMIN7', { of: having(/^(?!Storage|Message Body)/) }),
    output('queryMsgByOffset -t admin_topic -b broker-a -i 2 -o 1', {
      of: having(/^(?!Storage|Message Body|CommitLog)/),
    }),
    {
      behaviour: '`queryMsgById -i OFFSET_ID -t admin_topic`',
      client: 'mqadmin',
      async run(bench) {
        const { extFields } = await bench.put(TOPIC, {
          queueId: 1,
          body: 'by id',
          properties: { UNIQ_KEY: 'ADMINID' },
        });
        await bench.until('it in its queue', async () => ((await bench.maxOffset(TOPIC, 1)) >= 6 ? true : undefined));
        const answer = await command(bench, `queryMsgById -i ${extFields.msgId} -t ${TOPIC}`);
        return shown(answer, having(/^(?!Storage|Message Body|CommitLog|Queue Offset|MessageTrack)/));
      },
    },
    output('queryMsgTraceById -i ADMIN7', { of: (lines) => lines }),
    output('printMsg -t admin_topic -d true', {
      of: (lines) => lines.map((line) => line.replaceAll(/\[.*?\]/g, '')).sort(),
    }),
    output('printMsgByQueue -t admin_topic -a broker-a -i 0 -p true -d true', {
      of: (lines) => lines.map((line) => line.replaceAll(/\[.*?\]/g, '')),
    }),
    output('queryCq -t admin_topic -q 0 -i 1 -c 2 -b {broker} -g admin_group', {
      of: (lines) => lines.map((line) => line.replaceAll(/(physicOffset|physicSize)=\d+/g, '$1=<n>')),
    }),
    output('sendMessage -t admin_topic -p hello -k admin_sent -b broker-a -i 3'),
    output('sendMessage -t admin_none -p hello -b broker-a -i 0'),
    output('consumeMessage -t admin_topic -b broker-a -i 0 -o 0 -c 2', { of: having(/^(Consume|MSGID)/) }),
    // Without how far the group is: it says so once a second.
    output('brokerConsumeStats -b {broker}', {
      until: /admin_topic +admin_group +broker-a +3 +6/,
      of: (lines) => ofAdmin(lines).map((line) => line.split(' ').slice(0, 5).join(' ')),
    }),
    output('resetOffsetByTime -g admin_group -t admin_topic -s 0 -f true'),
    output('resetOffsetByTime -g admin_nobody -t admin_topic -s 0 -f true'),
    output('skipAccumulatedMessage -g admin_group -t admin_topic -f true'),
    output('cloneGroupOffset -s admin_group -d admin_made -t admin_topic -o true'),
    output('clusterList', { of: (lines) => lines.map((line) => line.split(' ').slice(0, 4).join(' ')) }),
    // Levels that nothing was sent to have no queue with RocketMQ, and what only Vernier prints is its own.
    output('brokerStatus -b {broker}', {
      of: (lines) => names()(lines).filter((name) => statusNames.includes(name)),
      differs: '`brokerStatus` shows `putLatency99`',
    }),
    output('getBrokerConfig -b {broker}', {
      of: (lines) =>
        having(/^(brokerName|brokerClusterName|brokerId|brokerPermission|flushDiskType|messageDelayLevel) ?=/)(lines),
    }),
    output('updateBrokerConfig -b {broker} -k traceOn -v true'),
    output('updateBrokerConfig -b {broker} -k mappedFileSizeTimerLog -v 104857700', {
      differs: '`updateBrokerConfig` of a setting',
    }),
    output('haStatus -b {broker}', { of: (lines) => lines.map((line) => line.replaceAll(/\d+/g, '<n>')) }),
    output('resetMasterFlushOffset -b {broker} -o 0'),
    output('getBrokerEpoch -b broker-a'),
    output('cleanExpiredCQ -b {broker}'),
    output('cleanUnusedTopic -b {broker}'),
    output('deleteExpiredCommitLog -b {broker}'),
    output('exportPopRecord -b {broker}', { differs: '`exportPopRecord`' }),
    output('getColdDataFlowCtrInfo -b {broker}', { differs: '`getColdDataFlowCtrInfo`' }),
    output('setCommitLogReadAheadMode -b {broker} -m 0', { differs: '`getColdDataFlowCtrInfo`' }),
    output('getNamesrvConfig', { of: having(/^listenPort|^# ?=|enableTopicList/) }),
    output('updateNamesrvConfig -k enableTopicList -v true'),
    output('updateKvConfig -s admin_space -k name -v value'),
    output('deleteKvConfig -s admin_space -k name'),
    output('updateOrderConf -t admin_topic -v broker-a:4 -m put'),
    output('updateOrderConf -t admin_topic -m get'),
    output('updateOrderConf -t admin_topic -m delete'),
    output('wipeWritePerm -b broker-a', { of: (lines) => lines.map((line) => line.replaceAll(/, \d+/g, ', <n>')) }),
    output('addWritePerm -b broker-a', { of: (lines) => lines.map((line) => line.replaceAll(/, \d+/g, ', <n>')) }),
    exported('exportMetadata'),
    exported('exportConfigs'),
    exported('exportMetrics'),
    output('deleteSubGroup -c DefaultCluster -g admin_made'),
    output('deleteTopic -c DefaultCluster -t admin_new'),
    output('deleteTopic -c DefaultCluster -t admin_none'),
    {
      behaviour: '`updateBrokerConfig -k brokerPermission` of 4, of 2, of 6: a send and a pull with each',
      client: 'mqadmin',
      async run(bench) {
        const results: string[] = [];
        for (const perm of [4, 2, 6]) {
          const { err } = await command(bench, `updateBrokerConfig -b {broker} -k brokerPermission -v ${perm}`);
          const answers = [await bench.send(TOPIC), await bench.pull(TOPIC, 0)];
          results.push(`${perm}: ${err === '' ? answers.map(said).join(' and ') : 'failed'}`);
        }
        return results.join('; ');
      },
    },
  ],
};
