/**
 * A real Prometheus asks a real broker under load: every query of the dashboard and of the alert rules has series, and
 * promtool takes what the broker says and the file of rules.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { alerts } from '../test/repo/monitoring/alerts.ts';
import { rows } from '../test/repo/monitoring/panels.ts';
import { askUntil } from './peers/child.ts';
import { repositoryRoot } from './peers/java.ts';
import { type Prometheus, prometheusMissing, promtool, startPrometheus } from './peers/prometheus.ts';
import { RemotingSession } from './peers/remoting-session.ts';
import { skipUnless } from './peers/suite.ts';
import { startVernier, type VernierPeer } from './peers/vernier.ts';

const rulesFile = join(repositoryRoot, 'docs', 'operations', 'prometheus-rules.yml');
const SUCCESS = 0;
const PREPARED = 4;
const COMMIT = 8;
const ROLLBACK = 12;

const property = (name: string, value: string): string => `${name}\u0001${value}\u0002`;

/** Clients of every kind, for as long as the suite asks. */
class Load {
  readonly #session: RemotingSession;
  #sent = 0;
  #isStopped = false;
  #running: Promise<void> | undefined;

  constructor(session: RemotingSession) {
    this.#session = session;
  }

  async #ask(code: number, fields: Record<string, string>, body?: Uint8Array) {
    const answer = await this.#session.ask(code, fields, body);
    assert.equal(answer.code, SUCCESS, `request ${code}: ${answer.code} ${answer.remark}`);
    return answer;
  }

  send(topic: string, properties = '', sysFlag = 0) {
    const fields = {
      ...{ a: 'producers', b: topic, c: 'TBW102', d: '4', e: '0', f: String(sysFlag), g: String(Date.now()), h: '0' },
      ...{ i: property('UNIQ_KEY', `K${this.#sent++}`) + properties, j: '0', k: 'false', m: 'false' },
    };
    return this.#ask(310, fields, Buffer.alloc(1_000, 0x61));
  }

  async #heartbeat(group: string, consumeType: string): Promise<void> {
    const subscription = {
      ...{ topic: 'Load', subString: '*', expressionType: 'TAG', subVersion: 1, classFilterMode: false },
      ...{ tagsSet: [], codeSet: [] },
    };
    const data = {
      clientID: `client-of-${group}`,
      producerDataSet: [{ groupName: 'producers' }],
      consumerDataSet: [
        {
          ...{ groupName: group, consumeType, messageModel: 'CLUSTERING', unitMode: false },
          ...{ consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET', subscriptionDataSet: [subscription] },
        },
      ],
    };
    await this.#ask(34, {}, Buffer.from(JSON.stringify(data)));
  }

  #transaction(end: number | undefined) {
    const properties = property('TRAN_MSG', 'true') + property('PGROUP', 'producers');
    return this.send('Orders', properties, PREPARED).then(async ({ extFields }) => {
      if (end === undefined) return;
      const id = extFields.msgId!;
      await this.#ask(37, {
        ...{ producerGroup: 'producers', tranStateTableOffset: extFields.queueOffset!, fromTransactionCheck: 'false' },
        ...{ commitLogOffset: String(BigInt(`0x${id.slice(16)}`)), commitOrRollback: String(end), msgId: id },
      });
    });
  }

  async begin(): Promise<void> {
    const { extFields } = await this.send('Load');
    await this.#heartbeat('pushers', 'CONSUME_PASSIVELY');
    await this.#heartbeat('poppers', 'CONSUME_POP');
    await this.#ask(36, {
      ...{ offset: String(BigInt(`0x${extFields.msgId!.slice(16)}`)), group: 'pushers', delayLevel: '-1' },
      ...{ originMsgId: extFields.msgId!, originTopic: 'Load', unitMode: 'false', maxReconsumeTimes: '16' },
    });
    await this.send('Later', property('TIMER_DELAY_SEC', '3600'));
    await this.#transaction(undefined);
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    for (let offset = 0; !this.#isStopped; offset += 8) {
      await Promise.all(Array.from({ length: 16 }, () => this.send('Load')));
      await this.#transaction(COMMIT);
      await this.#transaction(ROLLBACK);
      await this.#ask(11, {
        ...{ consumerGroup: 'pushers', topic: 'Load', queueId: '0', queueOffset: String(offset), maxMsgNums: '8' },
        ...{ sysFlag: '1', commitOffset: String(offset), suspendTimeoutMillis: '0', subVersion: '1' },
      });
      await this.#ask(200_050, {
        ...{ consumerGroup: 'poppers', topic: 'Load', queueId: '0', maxMsgNums: '1', invisibleTime: '60000' },
        ...{ pollTime: '0', bornTime: String(Date.now()), initMode: '0', exp: '*', expType: 'TAG', order: 'false' },
      });
      // A broker on two cores beside Prometheus is to be looked at and not to be driven to its end.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    this.#session.close();
  }
}

const scrape = (address: string): Promise<string> =>
  new Promise((resolve, reject) => {
    get(`http://${address}/metrics`, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });

/** As Grafana fills a query in. */
const filled = (expr: string): string => expr.replaceAll('$node', '.*').replaceAll('$__rate_interval', '10s');

describe('a real Prometheus', { skip: skipUnless(prometheusMissing()), timeout: 180_000 }, () => {
  let broker: VernierPeer;
  let load: Load;
  let prometheus: Prometheus;

  before(async () => {
    broker = await startVernier({
      flushDiskType: 'SYNC_FLUSH',
      proxy: true,
      extraConfig: { metricsExporterType: 'PROM', metricsPromExporterPort: 0 },
    });
    load = new Load(await RemotingSession.open(broker.brokerAddr));
    await load.begin();
    // A certificate that nobody is shown has no end.
    const [host, port] = broker.brokerAddr.split(':');
    const client = connect({ host, port: Number(port), rejectUnauthorized: false });
    await once(client, 'secureConnect');
    client.destroy();
    prometheus = await startPrometheus(broker.metricsAddr, rulesFile);
  });

  after(async () => {
    await load?.stop();
    await prometheus?.stop();
    await broker?.stop();
  });

  it('every query of the dashboard has series', async () => {
    for (const { panels } of rows) {
      for (const { title, queries } of panels) {
        for (const { expr } of queries) {
          // Rates need two looks of Prometheus.
          await askUntil(`${title}: ${expr}`, 20_000, undefined, async () =>
            (await prometheus.query(filled(expr))).length > 0 ? true : undefined,
          );
        }
      }
    }
  });

  it('what every alert looks at has series, and Prometheus evaluates the rules', async () => {
    for (const { name, query } of alerts) {
      await askUntil(`${name}: ${query}`, 20_000, undefined, async () =>
        (await prometheus.query(query)).length > 0 ? true : undefined,
      );
    }
    const states = await askUntil('the rules evaluated', 20_000, undefined, async () => {
      const found = await prometheus.alerts();
      return found.every(({ health }) => health === 'ok') ? found : undefined;
    });
    assert.deepEqual(
      states.map(({ name }) => name),
      alerts.map(({ name }) => name),
    );
  });

  it('the figures are those of the load', async () => {
    const value = async (expr: string): Promise<number> => Number((await prometheus.query(expr))[0]?.value[1]);
    assert.ok((await value('sum(rocketmq_messages_in_total{topic="Load"})')) > 16);
    assert.ok((await value('rocketmq_send_to_dlq_messages_total{consumer_group="pushers"}')) === 1);
    assert.ok((await value('sum(rocketmq_half_messages{topic="Orders"})')) >= 1);
    assert.ok((await value('sum(rocketmq_timing_messages{topic="Later"})')) === 1);
    assert.ok((await value('sum(rocketmq_consumer_inflight_messages{consumer_group="poppers"})')) >= 1);
    assert.equal(await value('vernier_power_cut_bytes{acknowledged="true"}'), 0);
    assert.equal(await value('sum(vernier_read_only)'), 0);
  });

  it('promtool takes the rules and what the broker says', async () => {
    const rules = promtool(['check', 'rules', rulesFile]);
    assert.equal(rules.status, 0, rules.output);
    assert.match(rules.output, new RegExp(`${alerts.length} rules found`));
    const said = promtool(['check', 'metrics'], await scrape(broker.metricsAddr));
    // 3: it can be read, and is not as promtool would name it. RocketMQ's names are what they are.
    const lines = said.output.split('\n').filter((line) => line !== '');
    const unexpected = lines.filter((line) => !/use base unit "seconds" instead of "milliseconds"/.test(line));
    assert.deepEqual(unexpected, [], said.output);
    assert.ok(said.status === 0 || said.status === 3, said.output);
    assert.ok(readFileSync(rulesFile, 'utf8').includes('VernierFlushFailed'));
  });
});
