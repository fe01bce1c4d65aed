import { join } from 'node:path';
import { parseJavaJson } from '@vernier/remoting';
import { storePaths } from '@vernier/store/internal';
import type { Findings } from './finding.ts';
import { CHECKPOINT_FILE_BYTES, doctorFileSystem, type StoreLayout } from './store-layout.ts';

/** One of the broker's JSON files. */
export interface ConfigFile {
  name: string;
  bytes: number;
  /** undefined: fine. Otherwise why it cannot be read. */
  problem: string | undefined;
  /** Position of the fault in the text, where the parser knows one. */
  position: number;
  /** Its `.bak` copy: usable, damaged, or none. */
  backup: 'usable' | 'damaged' | 'none';
  value: unknown;
}

/** Reads every JSON file of `config/`, as Java writes it. */
export async function readConfigFiles(root: string): Promise<ConfigFile[]> {
  const directory = storePaths(root).config;
  const names = await doctorFileSystem.list(directory).catch(() => []);
  const files: ConfigFile[] = [];
  const mains = new Set(names.filter((name) => name.endsWith('.json')));
  for (const name of names) if (name.endsWith('.json.bak')) mains.add(name.slice(0, -4));
  for (const name of [...mains].sort()) {
    const main = await readJson(join(directory, name));
    const backup = await readJson(join(directory, `${name}.bak`));
    files.push({
      name,
      bytes: main.bytes,
      problem: main.problem,
      position: main.position,
      backup: backup.missing ? 'none' : backup.problem === undefined ? 'usable' : 'damaged',
      value: main.value,
    });
  }
  return files;
}

interface ReadJson {
  missing: boolean;
  bytes: number;
  problem: string | undefined;
  position: number;
  value: unknown;
}

async function readJson(path: string): Promise<ReadJson> {
  let content: Buffer | undefined;
  try {
    content = await doctorFileSystem.readFile(path);
  } catch (error) {
    const problem = (error as Error).message;
    return { missing: false, bytes: 0, problem, position: 0, value: undefined };
  }
  if (content === undefined)
    return { missing: true, bytes: 0, problem: 'it is missing', position: 0, value: undefined };
  const bytes = content.length;
  if (bytes === 0) return { missing: false, bytes, problem: 'it is empty', position: 0, value: undefined };
  const text = content.toString('utf8');
  try {
    const value = parseJavaJson(text);
    if (!Buffer.from(text, 'utf8').equals(content)) {
      return { missing: false, bytes, problem: 'it is not UTF-8', position: text.indexOf('\ufffd'), value: undefined };
    }
    return { missing: false, bytes, problem: undefined, position: 0, value };
  } catch (error) {
    const { message, details } = error as Error & { details?: { position?: number } };
    return {
      missing: false,
      bytes,
      problem: `no JSON: ${message}`,
      position: details?.position ?? 0,
      value: undefined,
    };
  }
}

/** Topics that the broker knows; undefined without topics.json. */
export function knownTopicsOf(files: readonly ConfigFile[]): ReadonlySet<string> | undefined {
  const value = files.find(({ name }) => name === 'topics.json')?.value as
    | { topicConfigTable?: Record<string, unknown> }
    | undefined;
  return value?.topicConfigTable === undefined ? undefined : new Set(Object.keys(value.topicConfigTable));
}

export function checkConfigFiles(files: readonly ConfigFile[], findings: Findings): void {
  for (const { name, problem, position, backup } of files) {
    if (problem === undefined) continue;
    const copy =
      backup === 'usable'
        ? 'its copy .bak is whole'
        : `its copy .bak is ${backup === 'none' ? 'not there' : 'damaged too'}`;
    findings.fault({
      kind: 'config',
      file: `config/${name}`,
      offset: position,
      length: 1,
      expected: 'JSON as RocketMQ writes it',
      found: problem,
      message: `a broker cannot read it; ${copy}`,
    });
  }
}

/** Groups whose progress is beyond the end of a queue: they get nothing until the queue has grown past it. */
export function checkConsumerOffsets(
  files: readonly ConfigFile[],
  maxOffsetOf: (topic: string, queueId: number) => number | undefined,
  findings: Findings,
): void {
  for (const { name, value } of files) {
    if (name !== 'consumerOffset.json' && name !== 'lmqConsumerOffset.json') continue;
    const tables = value as OffsetTables | undefined;
    for (const [key, offsets] of Object.entries(tables?.offsetTable ?? {})) {
      const topic = key.slice(0, key.lastIndexOf('@'));
      for (const [queueId, offset] of Object.entries(offsets ?? {})) check(name, key, topic, Number(queueId), offset);
    }
    for (const [key, offset] of Object.entries(tables?.lmqOffsetTable ?? {})) {
      check(name, key, key.slice(0, key.lastIndexOf('@')), 0, offset);
    }
  }

  function check(name: string, key: string, topic: string, queueId: number, offset: number): void {
    const max = maxOffsetOf(topic, queueId);
    if (max === undefined || offset <= max) return;
    findings.note({
      kind: 'config',
      file: `config/${name}`,
      offset: 0,
      length: 0,
      expected: `at most ${max}`,
      found: String(offset),
      message: `group ${key.slice(key.lastIndexOf('@') + 1)} is ahead of ${topic}/${queueId}`,
      topic,
      queueId,
    });
  }
}

/** consumerOffset.json; lmqConsumerOffset.json of a broker with light queues has both. */
interface OffsetTables {
  offsetTable?: Record<string, Record<string, number>>;
  lmqOffsetTable?: Record<string, number>;
}

/** The checkpoint against what the log has. `lastStoreTimestamp`: of the newest record, 0 without one. */
export function checkCheckpoint(
  layout: StoreLayout,
  logEnd: number,
  lastStoreTimestamp: number,
  findings: Findings,
): void {
  const { checkpoint, checkpointBytes } = layout;
  const fault = (offset: number, length: number, expected: string, found: string, message: string): void =>
    findings.fault({ kind: 'checkpoint', file: 'checkpoint', offset, length, expected, found, message });
  if (checkpoint === undefined) {
    if (layout.logFiles.length > 0) {
      findings.note({
        kind: 'checkpoint',
        file: 'checkpoint',
        offset: 0,
        length: 0,
        expected: '',
        found: '',
        message: 'there is no checkpoint: the next start after an unclean exit reads the whole log',
      });
    }
    return;
  }
  if (checkpointBytes !== CHECKPOINT_FILE_BYTES) {
    fault(
      0,
      checkpointBytes,
      `${CHECKPOINT_FILE_BYTES} bytes`,
      `${checkpointBytes}`,
      'the checkpoint has another length',
    );
  }
  const times = [
    ['physicMsgTimestamp', 0, checkpoint.physicMsgTimestamp],
    ['logicsMsgTimestamp', 8, checkpoint.logicsMsgTimestamp],
    ['indexMsgTimestamp', 16, checkpoint.indexMsgTimestamp],
  ] as const;
  for (const [name, at, value] of times) {
    const newest = lastStoreTimestamp > 0 ? lastStoreTimestamp : Date.now();
    if (value < 0 || value > newest) {
      fault(at, 8, `at most ${newest}`, String(value), `${name} is later than the newest record`);
    }
  }
  if (checkpoint.durablePoint > logEnd && layout.logFiles.length > 0) {
    const message = `the log was on disk up to ${checkpoint.durablePoint} and ends at ${logEnd}`;
    fault(512, 52, `a log up to ${checkpoint.durablePoint}`, String(logEnd), message);
  }
  for (const [index, copy] of checkpoint.copies.entries()) {
    if (copy !== 'bad') continue;
    const finding = {
      kind: 'checkpoint' as const,
      file: 'checkpoint',
      offset: index === 0 ? 512 : 1024,
      length: 52,
      expected: 'a matching CRC',
      found: 'another',
      message: 'one of the two copies of the durable point is not whole; the other one counts',
    };
    // A power cut in the middle of a write leaves one copy so, and that is what the other one is for.
    if (checkpoint.copies.includes('whole')) findings.note(finding);
    else findings.fault({ ...finding, message: 'neither copy of the durable point is whole' });
  }
}
