import { propertyCrcOf, type RecordLayout } from '@vernier/store/internal';
import type { BookedDamage, DamageBook } from './damage-book.ts';
import { type LogWalkOptions, walkLog } from './log-walk.ts';
import { isQueued } from './queue-kinds.ts';
import type { QueueState } from './queue-states.ts';
import { placesOf } from './rebuild.ts';
import { RecordFactsReader, topicOf } from './record-facts.ts';
import type { StoreLayout } from './store-layout.ts';

/** A queue's entry that leads to a sound record which says that it is another message. */
export interface Disagreement {
  state: QueueState;
  index: number;
  phy: number;
}

export interface JudgedDisagreement extends Disagreement {
  /** What the record says of itself. */
  topic: string;
  queueId: number;
  queueOffset: number;
  /** Where its topic begins, from the record's start. */
  topicAt: number;
  topicLength: number;
  /** The records around it contradict the record. Else the entry is wrong. */
  recordIsWrong: boolean | 'unless-queue-is-whole';
}

/** A place in a queue that the log may have a sound record for. */
export interface PlaceInQueue {
  topic: string;
  queueId: number;
  queueOffset: number;
}

/** Numbers around a damaged stretch in one queue; undefined when the queue has no record on that side. */
export interface NumbersAround {
  before: number | undefined;
  behind: number | undefined;
}

export interface CensusRequest {
  layout: StoreLayout;
  book: DamageBook;
  disagreements: readonly Disagreement[];
  /** Messages that damaged records say they are. */
  described: readonly { damage: BookedDamage; place: PlaceInQueue }[];
  walk: LogWalkOptions;
}

/** Numbers that no record of the log has are remembered up to this count. */
const GAPS_MAX = 10_000;
/** No record is shorter. */
const RECORD_BYTES_MIN = 91;

interface Sequence {
  topic: string;
  queueId: number;
  /** The last number that nothing disputes, and its record; -1 before the first. */
  last: number;
  lastPhy: number;
  disputed: JudgedDisagreement[];
  /** Stretches of which the numbers around are asked for, in log order; `answered` of them have both. */
  around: { damage: BookedDamage; numbers: NumbersAround }[];
  answered: number;
}

/**
 * What the log alone says about its queues: a second walk, made only when something is wrong. An entry of a queue file is
 * never enough to call a sound record wrong, or to call a message lost: the numbers of the records around decide.
 */
export class LogCensus {
  readonly #request: CensusRequest;
  readonly #sequences = new Map<string, Sequence>();
  readonly #disputed = new Map<number, Disagreement[]>();
  readonly #wanted = new Map<string, number>();
  readonly judged: JudgedDisagreement[] = [];
  /** Numbers that no record has, between records that have the numbers around, each with a damaged stretch between them. */
  readonly gaps: (PlaceInQueue & { damage: BookedDamage })[] = [];

  constructor(request: CensusRequest) {
    this.#request = request;
    for (const disagreement of request.disagreements) {
      const list = this.#disputed.get(disagreement.phy);
      if (list === undefined) this.#disputed.set(disagreement.phy, [disagreement]);
      else list.push(disagreement);
      this.#want(placeOf(disagreement));
    }
    const described = new Map<BookedDamage, PlaceInQueue[]>();
    for (const { damage, place } of request.described) described.set(damage, [...(described.get(damage) ?? []), place]);
    for (const damage of request.book.list) {
      for (const place of described.get(damage) ?? []) this.#ask(damage, place);
      for (const place of damage.lost) this.#ask(damage, place);
    }
  }

  /** Offset of the sound record that is this message; -1 without. */
  recordOf(place: PlaceInQueue): number {
    return this.#wanted.get(keyOf(place)) ?? -1;
  }

  /** The numbers of that queue before and behind the damaged stretch. */
  around(damage: BookedDamage, { topic, queueId }: { topic: string; queueId: number }): NumbersAround {
    const sequence = this.#sequences.get(`${queueId}/${topic}`);
    return (
      sequence?.around.find((asked) => asked.damage === damage)?.numbers ?? { before: undefined, behind: undefined }
    );
  }

  #want(place: PlaceInQueue): void {
    this.#wanted.set(keyOf(place), -1);
  }

  #ask(damage: BookedDamage, place: PlaceInQueue): void {
    this.#want(place);
    const { topic, queueId } = place;
    const { around } = this.#sequence(topic, queueId);
    if (around.at(-1)?.damage === damage) return;
    around.push({ damage, numbers: { before: undefined, behind: undefined } });
  }

  async run(): Promise<void> {
    const { layout, walk } = this.#request;
    const factsReader = new RecordFactsReader();
    await walkLog(layout.logFiles, walk, {
      onRecord: (view, record) => {
        const topic = topicOf(view, record);
        if (!isQueued(layout.batchTopics, topic, record.sysFlag)) return;
        if (record.physicalOffset < (layout.deletions.get(topic) ?? 0)) return;
        const disputes = this.#disputed.get(record.physicalOffset);
        if (disputes !== undefined) {
          this.#addDisputed(topic, view, record, disputes);
          return;
        }
        if (this.#wanted.size > 0) {
          const facts = factsReader.read(view, record);
          for (const [place, number] of placesOf(topic, record.queueId, record.queueOffset, facts)) {
            const key = `${number}/${place}`;
            if (this.#wanted.has(key)) this.#wanted.set(key, record.physicalOffset);
          }
        }
        this.#addSure(this.#sequence(topic, record.queueId), record.queueOffset, record.physicalOffset);
      },
    });
    for (const sequence of this.#sequences.values()) {
      this.#judge(sequence, undefined);
      for (; sequence.answered < sequence.around.length; sequence.answered++) {
        sequence.around[sequence.answered]!.numbers.before = sequence.last < 0 ? undefined : sequence.last;
      }
    }
    const taken = new Set<string>();
    for (const judged of this.judged) {
      const { state, index } = judged;
      if (judged.recordIsWrong === 'unless-queue-is-whole') {
        // What would be a hole in the one queue or a hole in the other: in that of the entry it is one for sure.
        judged.recordIsWrong = (this.#sequences.get(`${state.queueId}/${state.topic}`)?.last ?? -1) > index;
      }
      judged.recordIsWrong &&= this.recordOf(placeOf(judged)) < 0;
      if (judged.recordIsWrong) taken.add(keyOf(placeOf(judged)));
    }
    const open = this.gaps.filter((gap) => !taken.has(keyOf(gap)));
    this.gaps.splice(0, this.gaps.length, ...open);
  }

  #addDisputed(topic: string, view: Buffer, record: RecordLayout, disputes: readonly Disagreement[]): void {
    const sequence = this.#sequence(topic, record.queueId);
    const isChecked = propertyCrcOf(view, record.at, record.size) !== undefined;
    for (const [at, dispute] of disputes.entries()) {
      const judged = {
        ...dispute,
        topic,
        queueId: record.queueId,
        queueOffset: record.queueOffset,
        topicAt: record.topicAt - record.at,
        topicLength: record.topicLength,
        recordIsWrong: false,
      };
      this.judged.push(judged);
      // A checksum covers the record's number and queue; and one record is judged by one entry.
      if (at === 0 && !isChecked) sequence.disputed.push(judged);
    }
    if (isChecked) this.#addSure(sequence, record.queueOffset, record.physicalOffset);
  }

  #addSure(sequence: Sequence, number: number, phy: number): void {
    this.#judge(sequence, { number, phy });
    for (; sequence.answered < sequence.around.length; sequence.answered++) {
      const { damage, numbers } = sequence.around[sequence.answered]!;
      if (phy < damage.from) break;
      numbers.before = sequence.last < 0 ? undefined : sequence.last;
      numbers.behind = number;
    }
    this.#step(sequence, number, phy);
  }

  /** Goes on to a record with this number, and remembers the numbers that were left out. */
  #step(sequence: Sequence, number: number, phy: number): void {
    const { last, lastPhy, topic, queueId } = sequence;
    const from = last < 0 ? this.#firstNumber(number) : last + 1;
    if (number > from && this.gaps.length < GAPS_MAX) {
      const [damage] = this.#damagesBetween(lastPhy, phy);
      // More numbers than records can have been there are a number that is wrong.
      if (damage !== undefined && number - from <= this.#roomBetween(lastPhy, phy)) {
        for (let queueOffset = from; queueOffset < number; queueOffset++) {
          this.gaps.push({ topic, queueId, queueOffset, damage });
        }
      }
    }
    sequence.last = number;
    sequence.lastPhy = phy;
  }

  /** Number with which a queue began: known only of a log of which nothing has expired. */
  #firstNumber(first: number): number {
    return this.#request.layout.logFiles[0]?.from === 0 ? 0 : first;
  }

  #damagesBetween(afterPhy: number, beforePhy: number): BookedDamage[] {
    return this.#request.book.list.filter(({ from, to }) => from >= afterPhy && to <= beforePhy);
  }

  /**
   * The disputed records between two that nothing disputes, as the log has them and as the queue has them. The side with
   * fewer holes in its numbers is right, the log when both have as many.
   */
  #judge(sequence: Sequence, next: { number: number; phy: number } | undefined): void {
    const { disputed } = sequence;
    if (disputed.length === 0) return;
    sequence.disputed = [];
    const isOwn = ({ state }: JudgedDisagreement): boolean =>
      state.topic === sequence.topic && state.queueId === sequence.queueId;
    const byLog = disputed.map(({ queueOffset, phy }) => ({ number: queueOffset, phy }));
    const byQueue = disputed.filter(isOwn).map(({ index, phy }) => ({ number: index, phy }));
    const log = this.#holes(sequence, byLog, next);
    const queue = this.#holes(sequence, byQueue, next);
    const isTie = log.unexplained === queue.unexplained && log.explained > queue.explained && byQueue.length === 0;
    const recordIsWrong = isTie ? 'unless-queue-is-whole' : log.unexplained > queue.unexplained;
    for (const judged of disputed) judged.recordIsWrong = recordIsWrong;
    if (isTie) return;
    for (const { number, phy } of recordIsWrong ? byQueue : byLog) this.#step(sequence, number, phy);
  }

  /** Numbers that are left out; `explained` by damaged stretches that have room for as many records. */
  #holes(
    { last, lastPhy }: Sequence,
    records: readonly { number: number; phy: number }[],
    next: { number: number; phy: number } | undefined,
  ): { unexplained: number; explained: number } {
    const holes = { unexplained: 0, explained: 0 };
    let before = last;
    let beforePhy = lastPhy;
    const all = next === undefined ? records : [...records, next];
    for (const [at, { number, phy }] of all.entries()) {
      const from = before < 0 ? this.#firstNumber(number) : before + 1;
      // The topic was deleted and made anew.
      const isRestart = number === 0 && before >= 0 && (all[at + 1]?.number ?? 1) === 1;
      if (!isRestart && number < from) return { unexplained: Number.POSITIVE_INFINITY, explained: 0 };
      const count = isRestart ? 0 : number - from;
      const explained = count === 0 ? 0 : Math.min(count, this.#roomBetween(beforePhy, phy));
      holes.explained += explained;
      holes.unexplained += count - explained;
      before = number;
      beforePhy = phy;
    }
    return holes;
  }

  /** Records that the damaged stretches between two offsets can have held. */
  #roomBetween(afterPhy: number, beforePhy: number): number {
    const bytes = this.#damagesBetween(afterPhy, beforePhy).reduce((sum, { from, to }) => sum + to - from, 0);
    return Math.ceil(bytes / RECORD_BYTES_MIN);
  }

  #sequence(topic: string, queueId: number): Sequence {
    const key = `${queueId}/${topic}`;
    let sequence = this.#sequences.get(key);
    if (sequence === undefined) {
      sequence = { topic, queueId, last: -1, lastPhy: -1, disputed: [], around: [], answered: 0 };
      this.#sequences.set(key, sequence);
    }
    return sequence;
  }
}

function placeOf({ state, index }: Disagreement): PlaceInQueue {
  return { topic: state.topic, queueId: state.queueId, queueOffset: index };
}

/** As placesOf names a queue, with the number in front. */
function keyOf({ topic, queueId, queueOffset }: PlaceInQueue): string {
  return `${queueOffset}/${topic}/${queueId}`;
}
