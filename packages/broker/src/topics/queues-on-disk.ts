/**
 * Topics of which topics.json may still say fewer queues than the table: they were raised, or deleted and made anew, since it
 * was saved. A start would take its number for an operator's choice, and no consumer could read what is in the others. A topic
 * that topics.json does not have at all is none of them: a start gives it the queues that have messages. One with batch queues
 * is: only topics.json says so.
 */
export class QueuesOnDisk {
  /** By topic the fewest queues that a file may have which was begun before now. */
  #fewest = new Map<string, number>();
  /** The same of what is being saved. */
  #beingSaved = new Map<string, number>();

  /** The table had so many queues of the topic until now. */
  had(topic: string, readQueueNums: number): void {
    this.#fewest.set(topic, Math.min(readQueueNums, this.#fewest.get(topic) ?? readQueueNums));
  }

  /** The table is being written; what changes from now on need not be in it. */
  encoding(): void {
    // What is in it already is of a save that failed.
    for (const [topic, readQueueNums] of this.#fewest) {
      this.#beingSaved.set(topic, Math.min(readQueueNums, this.#beingSaved.get(topic) ?? readQueueNums));
    }
    this.#fewest = new Map();
  }

  /** What was written is on disk. */
  saved(): void {
    this.#beingSaved = new Map();
  }

  /** After a crash consumers read this queue, as far as it is for topics.json to say. */
  covers(topic: string, queueId: number): boolean {
    if (this.#fewest.size === 0 && this.#beingSaved.size === 0) return true;
    const fewest = this.#fewest.get(topic) ?? Number.POSITIVE_INFINITY;
    return queueId < Math.min(fewest, this.#beingSaved.get(topic) ?? fewest);
  }
}
