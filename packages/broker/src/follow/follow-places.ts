import { asObject, RemotingError } from '@vernier/remoting';

/**
 * How far a follower has come in its queue. The number of the next message alone would not do: when a topic is deleted and
 * made again, its numbers begin anew, and the follower would wait for a number that the new queue has already passed. So
 * the last message is remembered with its place in the log, which never comes again.
 */
export interface Place {
  /** Entry number of the next message. */
  readonly queueOffset: number;
  /** Entry number and log offset of the last message that was done; undefined: none, or not known. */
  readonly last: { readonly queueOffset: number; readonly logOffset: number } | undefined;
}

/** Where a follower keeps its place. */
export interface PlaceTable {
  /** Undefined for a follower that has none yet. */
  get(name: string): Place | undefined;
  /** In memory, in the turn in which the place changes; on disk with the table's next save. */
  set(name: string, place: Place): void;
}

/**
 * Puts on disk what the broker put into its log up to now. False: the store has failed, and nothing more comes to the disk.
 * A place is saved only behind it: an action's own messages need not be on disk when the action is done, and a power cut
 * must not leave a place that is past a message whose copy is gone.
 */
export type PutsOnDisk = () => Promise<boolean>;

/** The places of all followers, by their names: `followOffset.json`. Bounded by the number of followers there are. */
export class FollowPlaces implements PlaceTable {
  readonly #places = new Map<string, Place>();
  readonly #changed: () => void;
  readonly #putsOnDisk: PutsOnDisk;
  /** What may be saved. */
  #saved: ReadonlyMap<string, Place> | undefined;

  /** `changed` is called after each change: the table has to be saved. */
  constructor(changed: () => void, putsOnDisk: PutsOnDisk = () => Promise.resolve(true)) {
    this.#changed = changed;
    this.#putsOnDisk = putsOnDisk;
  }

  get(name: string): Place | undefined {
    return this.#places.get(name);
  }

  set(name: string, place: Place): void {
    this.#places.set(name, place);
    this.#changed();
  }

  /** For a follower that there will not be any more. */
  remove(name: string): void {
    if (this.#places.delete(name)) this.#changed();
  }

  /** Takes over a parsed followOffset.json. Throws REMOTING_BODY_INVALID when it is something else. */
  load(file: unknown): void {
    for (const [name, value] of Object.entries(asObject(asObject(file, 'followOffset.json').places, 'places'))) {
      const { queueOffset, lastQueueOffset, lastLogOffset } = asObject(value, name);
      this.#places.set(name, {
        queueOffset: numberFrom(queueOffset, name, 0),
        last:
          lastLogOffset === undefined
            ? undefined
            : { queueOffset: numberFrom(lastQueueOffset, name, -1), logOffset: numberFrom(lastLogOffset, name, 0) },
      });
    }
  }

  async prepareSave(): Promise<boolean> {
    this.#saved = new Map(this.#places);
    return this.#putsOnDisk();
  }

  /** followOffset.json in pieces, one follower each: the places as they were when the save was prepared. */
  *encode(): Iterable<string> {
    yield '{\n"places":{';
    let separator = '\n';
    for (const [name, { queueOffset, last }] of this.#saved ?? this.#places) {
      const fields = { queueOffset, lastQueueOffset: last?.queueOffset, lastLogOffset: last?.logOffset };
      yield `${separator}${JSON.stringify(name)}:${JSON.stringify(fields)}`;
      separator = ',\n';
    }
    yield '\n}\n}\n';
  }
}

function numberFrom(value: unknown, name: string, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  throw new RemotingError('REMOTING_BODY_INVALID', `the place of ${name} holds ${String(value)}`, { name });
}
