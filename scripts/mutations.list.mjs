/**
 * Deliberate breakages of the store: what a hasty change could do. Each replaces `from`, which must stand exactly once in
 * `file` (below packages/store/src, or that of `package`), by `to`; the history of `seed` must then break a promise. After a change of the
 * torture run, which moves what a seed means: `npm run mutations -- --find` writes the first seed that catches each. What
 * a history comes upon too rarely to be searched for has a `test` instead: a file below packages/store/test and the
 * beginning of the name of the test that must then fail. `through`: the histories go through a broker's requests, as those
 * of a breakage of the broker always do.
 */
export const mutations = [
  {
    name: 'acknowledged before the flush',
    file: 'flush/flush-manager.ts',
    from: 'if (onDisk) return this.#groupCommitService.submit(nextOffset, result);',
    to: `if (onDisk) {
        this.#groupCommitService.wakeup();
        result.status = 'PUT_OK';
        return Promise.resolve(result);
      }`,
    seed: 2,
  },
  {
    name: 'the name of a new log file is not made durable',
    file: 'mapped-file/mapped-file-allocator.ts',
    from: 'await fileSystem.rename(staged, path);\n    await fileSystem.syncDirectory(this.#directory);',
    to: 'await fileSystem.rename(staged, path);',
    seed: 1,
  },
  {
    name: 'the length of a new log file is not made durable',
    file: 'mapped-file/mapped-file-allocator.ts',
    from: 'await file.allocate(this.#fileSize, config.diskFreeBytesMin);\n      await file.sync();',
    to: 'await file.allocate(this.#fileSize, config.diskFreeBytesMin);',
    seed: 4,
  },
  {
    name: 'a failed sync of the zeros ahead of the log is passed over',
    file: 'mapped-file/zero-ahead.ts',
    from: 'this.#syncFailed(from, from + length, error);',
    to: '',
    seed: 3131,
  },
  {
    name: 'a failed flush is tried again',
    file: 'mapped-file/mapped-file-base.ts',
    from: `await this.force(from, to);
    } catch (error) {
      throw this.#fail('STORE_FLUSH_FAILED', 'flush', from, to, error);
    }`,
    to: `await this.force(from, to);
    } catch {
      await this.force(from, to);
    }`,
    seed: 50,
  },
  {
    name: 'the durable point is put at the end of what was appended',
    file: 'store-parts.ts',
    from: 'this.#checkpoint?.setDurablePoint(flushedWhere, flushedWhere, storeTimestamp);',
    to: 'this.#checkpoint?.setDurablePoint(this.#log.maxOffset, this.#log.maxOffset + flushedWhere, storeTimestamp);',
    seed: 5,
  },
  {
    name: 'the swapped lists: what gathered during a flush is forgotten',
    file: 'flush/request-list.ts',
    from: 'this.#requestsRead = this.#requestsWrite;\n    this.#requestsWrite = answered;',
    to: 'this.#requestsRead = answered;\n    this.#requestsWrite = [];',
    seed: 1,
  },
  {
    name: 'a flush answers whoever waits',
    file: 'flush/group-commit-service.ts',
    from: `const answered = this.#requests.answerUpTo(this.#target.flushedWhere);`,
    to: `const answered = this.#requests.answerUpTo(Number.MAX_SAFE_INTEGER);`,
    seed: 1,
  },
  {
    name: 'dispatch goes past flushedWhere',
    file: 'commit-log/commit-log.ts',
    from: 'return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.committedWhere;',
    to: 'return this.mappedFileQueue.committedWhere;',
    seed: 2,
  },
  {
    name: 'dispatch goes past what is written',
    file: 'commit-log/commit-log.ts',
    from: 'return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.committedWhere;',
    to: 'return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.maxOffset;',
    seed: 44,
  },
  {
    name: 'a failed store takes messages',
    file: 'commit-log/commit-log.ts',
    from: 'const { failure } = this.#context;\n    if (!failure) {',
    to: 'const failure = undefined as StoreError | undefined;\n    if (!failure) {',
    seed: 170,
  },
  {
    name: 'recovery believes the page cache and writes nothing again',
    file: 'commit-log/recovery.ts',
    from: 'onVerified: (file, position, bytes) => rewriter.write(file, position, bytes),',
    to: '',
    seed: 9,
  },
  {
    name: 'recovery leaves what lies behind the end of the log',
    file: 'mapped-file/mapped-file-queue.ts',
    from: 'await last.zeroTail(position);\n',
    to: '',
    seed: 7,
  },
  {
    name: 'the queues are said to be complete up to what was dispatched during their flush',
    file: 'queue/flush-consume-queue-service.ts',
    from: 'await onThoroughFlush(durableWhere);',
    to: 'await onThoroughFlush(dispatchedWhere());',
    seed: 5,
  },
  {
    name: 'a flush takes the last file instead of the one that holds flushedWhere',
    file: 'mapped-file/mapped-file-queue.ts',
    from: 'const file = this.#find(this.#flushedWhere);\n    if (file === undefined) return;\n    const storeTimestamp',
    to: 'const file = this.#last;\n    if (file === undefined) return;\n    const storeTimestamp',
    seed: 2,
  },
  {
    name: 'a durable write counts for what others wrote before it',
    file: 'mapped-file/mapped-file-base.ts',
    from: 'const durably = this.#commitDurably && this.flushedPosition === from;',
    // Its second half alone changes nothing: such a write is never begun while others' bytes wait for a sync.
    to: 'const durably = to % 2 === 0;',
    seed: 10,
  },
  {
    name: 'recovery takes zeros in properties for properties',
    file: 'commit-log/recovery.ts',
    from: "checkTorn: start.rule === 'durable-point'",
    to: 'checkTorn: false',
    seed: 18,
  },
  {
    name: 'zeros in properties are stored without a checksum',
    file: 'commit-log/message-encoder.ts',
    from: "return this.#appendPropCrc || propertiesString.includes('\\0') || propertiesString.includes(PROPERTY_CRC32);",
    to: 'return this.#appendPropCrc;',
    seed: 3,
  },
  {
    name: 'queue entries above the start are kept',
    file: 'commit-log/recovery.ts',
    from: 'await consumeQueueStore.truncateDirty(dispatchFrom);\n',
    to: '',
    seed: 35,
  },
  {
    name: 'index entries above the start are kept',
    file: 'commit-log/recovery.ts',
    from: 'await indexService?.truncateDirty(dispatchFrom);\n',
    to: '',
    seed: 35,
  },
  {
    name: 'a consume-queue file’s name gets to the disk before its length',
    file: 'queue/consume-queue-files.ts',
    from: 'await this.#syncFile(written);\n',
    to: '',
    seed: 10,
  },
  {
    name: 'readers are given what fails its checksum',
    file: 'read/record-check.ts',
    from: 'return isWhole ? topicLengthAt : -1;',
    to: 'return isWhole || size > 0 ? topicLengthAt : -1;',
    seed: 9,
  },
  {
    name: 'group under ASYNC_FLUSH waits as long as the disk does',
    file: 'commit-log/commit-log.ts',
    from: 'const timer = clock.setTimer(() => {',
    to: 'const timer = ((_: () => void, __: number) => undefined)(() => {',
    seed: 44,
  },
  {
    name: 'half of a queue entry passes for a durable one',
    file: 'queue/consume-queue-recovery.ts',
    from: 'const asked = crossesSector(where, fileSize) ? index + 1 : index;',
    to: 'const asked = where > 0 ? index : index + 1;',
    test: { file: 'queue/consume-queue-recovery.test.ts', name: 'queue recovery: the second half of an entry' },
  },
  {
    name: 'recovery writes to pages that the cache takes for written',
    file: 'commit-log/recovery-repair.ts',
    from: 'const isDropped = await file.dropCache(pieceFrom, this.#pieceBytes);',
    to: 'const isDropped = pieceFrom >= 0;',
    seed: 342,
  },
  {
    name: 'a checkpoint in the page cache counts as durable',
    file: 'store-checkpoint.ts',
    from: 'if (bytes < CHECKPOINT_BYTES || !lastExitOk) {',
    to: 'if (bytes < CHECKPOINT_BYTES) {',
    test: { file: 'testing/torture.test.ts', name: 'found: a checkpoint that a killed process left' },
  },
  {
    name: 'whenFlushed answers when it is written',
    file: 'commit-log/commit-log.ts',
    from: 'if (offset <= flushedWhere) return Promise.resolve();',
    to: 'if (offset <= flushedWhere || offset <= this.mappedFileQueue.committedWhere) return Promise.resolve();',
    seed: 44,
  },
  {
    name: 'a queue’s next file is made while names in front of it are not durable',
    file: 'queue/consume-queue-files.ts',
    from: 'if (this.#unsyncedDirectories.delete(directory)) {',
    to: "if (directory === '') {",
    seed: 813,
  },
  {
    name: 'a damaged store keeps the queue entries that the crash left',
    file: 'commit-log/recovery.ts',
    from: 'await this.#parts.consumeQueueStore.truncateDirty(Math.min(start.dispatchFrom, scan.end), true);\n',
    to: '',
    test: { file: 'testing/torture.test.ts', name: 'found: a damaged store gives the messages in front' },
  },
  {
    name: 'the names above the store are not made durable',
    file: 'store-parts.ts',
    from: 'if (isNew) {',
    to: 'if (Date.now() < 0) {',
    test: { file: 'testing/torture.test.ts', name: 'found: the first start stopped before the names' },
  },
  {
    name: 'a queue’s name in the page cache counts as durable',
    file: 'queue/consume-queue.ts',
    from: 'this.#owner.files.markNamesUnsynced(this.topic, this.queueId);',
    to: '',
    seed: 190,
  },
  {
    name: 'index slots that a crash left past the count are led back in memory alone',
    file: 'queue/index-file.ts',
    from: 'if (highest >= indexCount) this.#slotsRepaired = true;',
    to: '',
    seed: 80004494,
  },
  {
    name: 'readers are given a record whose lengths do not add up',
    file: 'read/record-check.ts',
    from: 'if (propertiesLengthAt + 2 + source.readInt16BE(propertiesLengthAt) !== end) return -1;\n',
    to: '',
    seed: 405,
  },
  {
    name: 'a producer is told SEND_OK when the flush has not come in time',
    package: 'broker',
    file: 'broker/put-result.ts',
    from: 'return ResponseCode.FLUSH_DISK_TIMEOUT;',
    to: 'return ResponseCode.SUCCESS;',
    seed: 2,
  },
  {
    name: 'a producer is answered before its put',
    package: 'broker',
    file: 'broker/processors/send-message.ts',
    from: 'return put.then((result) => {',
    to: `const place = { wroteOffset: this.#broker.store.maxPhyOffset, queueOffset: 0, wroteBytes: 1, messageCount: 1, storeTimestamp: 0 };
    return Promise.resolve({ ...place, status: 'PUT_OK' } as PutMessageResult).then((result) => {`,
    seed: 1,
  },
  {
    name: 'the tables are not saved when the broker shuts down',
    package: 'broker',
    file: 'broker/metadata-files.ts',
    from: 'if (this.#dirty) await this.save();\n',
    to: '',
    seed: 1,
  },
  {
    name: 'a table’s new content is not on disk when it takes the old one’s name',
    file: 'io/atomic-file.ts',
    from: 'await file.sync();\n',
    to: '',
    through: 'broker',
    seed: 1,
  },
  {
    name: 'a topic whose messages are there and whose configuration is not stays unknown',
    package: 'broker',
    file: 'broker/create-broker-context.ts',
    from: 'topics.adoptStoredQueues(stored);\n',
    to: '',
    seed: 2,
  },
  {
    name: 'files expire whose records have their queue entries in memory alone',
    file: 'clean/clean-commit-log-service.ts',
    from: 'const limit = this.#queuesCompleteWhere();',
    to: 'const limit = Number.POSITIVE_INFINITY;',
    seed: 336,
  },
  {
    name: 'another file expires while the name of the one before it may be on the disk',
    file: 'mapped-file/mapped-file-queue.ts',
    from: 'this.#isRemovalUnsure = true;\n',
    to: '',
    seed: 2832,
  },
  {
    name: 'files expire before their time',
    file: 'mapped-file/mapped-file-queue.ts',
    from: 'stat.mtimeMs + expiredTimeMs > this.#context.clock.now()',
    to: 'stat.mtimeMs + expiredTimeMs / 2 > this.#context.clock.now()',
    seed: 8,
  },
];
