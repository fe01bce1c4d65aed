import type { BookedDamage, DamageBook } from './damage-book.ts';
import type { LogCensus, PlaceInQueue } from './log-census.ts';
import type { LogReader } from './log-reader.ts';
import type { QueueCheck } from './queue-check.ts';
import { isQueued } from './queue-kinds.ts';
import { topicOf } from './record-facts.ts';
import type { StoreLayout } from './store-layout.ts';

/** A damaged record whose lengths add up, and the message that it says it is. */
export interface DescribedRecord {
  damage: BookedDamage;
  place: PlaceInQueue;
  size: number;
}

/** Damaged records that still say of themselves which message they are. */
export function describedBy(book: DamageBook, log: LogReader, layout: StoreLayout): DescribedRecord[] {
  const described: DescribedRecord[] = [];
  for (const damage of book.list) {
    if (damage.record === undefined) continue;
    const found = log.recordAt(damage.from, false);
    if (found === undefined) continue;
    const { record, view } = found;
    const topic = topicOf(view, record);
    if (!isQueued(layout.batchTopics, topic, record.sysFlag)) continue;
    if (record.physicalOffset < (layout.deletions.get(topic) ?? 0)) continue;
    const { queueId, queueOffset, size } = record;
    described.push({ damage, place: { topic, queueId, queueOffset }, size });
  }
  return described;
}

/**
 * Decides which messages were in the damaged stretches. An entry that leads there is believed unless the log has its
 * message elsewhere, or the numbers around the stretch or the entries around it say that it is none of this queue. Then
 * come records that say it of themselves, and last the numbers that the log has left out.
 */
export function settleLost(
  book: DamageBook,
  census: LogCensus,
  queues: QueueCheck,
  described: readonly DescribedRecord[],
): void {
  const taken = new Set<string>();
  for (const damage of book.list) {
    const entries = damage.lost.splice(0);
    for (const entry of entries) {
      const why = whyNotLost(damage, entry, census, queues);
      if (why !== undefined) queues.reportNotLost(entry, why);
      else if (!taken.has(keyOf(entry))) {
        taken.add(keyOf(entry));
        damage.lost.push(entry);
      }
    }
  }
  for (const { damage, place, size } of described) {
    // The entry for this record has named it, by a number of its own or by the same.
    if (taken.has(keyOf(place)) || damage.lost.some(({ phyOffset }) => phyOffset === damage.from)) continue;
    if (census.recordOf(place) >= 0 || !fitsAround(damage, place, census)) continue;
    taken.add(keyOf(place));
    damage.lost.push({ ...place, phyOffset: damage.from, size, by: 'record' });
  }
  for (const { damage, topic, queueId, queueOffset } of census.gaps) {
    const place = { topic, queueId, queueOffset };
    if (taken.has(keyOf(place))) continue;
    taken.add(keyOf(place));
    damage.lost.push({ ...place, phyOffset: damage.from, size: 0, by: 'neighbours' });
  }
}

function whyNotLost(
  damage: BookedDamage,
  place: PlaceInQueue,
  census: LogCensus,
  queues: QueueCheck,
): string | undefined {
  const elsewhere = census.recordOf(place);
  if (elsewhere >= 0) return `no good record is there, and the message is at ${elsewhere}`;
  if (!fitsAround(damage, place, census)) {
    return 'no good record is there, and by the numbers around it that message was not there either';
  }
  if (queues.ownership.isAmongForeign(place))
    return 'no good record is there, and the entries around it are of another queue';
  return undefined;
}

/** The number lies between those that its queue has before and behind the stretch. */
function fitsAround(damage: BookedDamage, place: PlaceInQueue, census: LogCensus): boolean {
  const { before, behind } = census.around(damage, place);
  const fitsBefore = before === undefined || place.queueOffset > before;
  const fitsBehind = behind === undefined || place.queueOffset < behind;
  // Where the topic was deleted and made anew inside of the stretch, it may be of either life.
  const isRestart = before !== undefined && behind !== undefined && behind <= before;
  return isRestart ? fitsBefore || fitsBehind : fitsBefore && fitsBehind;
}

function keyOf({ topic, queueId, queueOffset }: PlaceInQueue): string {
  return `${queueOffset}/${topic}/${queueId}`;
}
