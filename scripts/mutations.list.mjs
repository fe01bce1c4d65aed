/**
 * Deliberate breakages of the store: what a hasty change could do. Each replaces `from`, which must stand exactly once in
 * `file` (below packages/store/src, or that of `package`), by `to`. Then the test of `test` must fail (the file, and the
 * beginning of the name), or the history of `seed` must break a promise. A test says what is guarded, and a change of the
 * torture run leaves it alone. Such a change moves what a seed means: `npm run mutations -- --find` then writes the first
 * seed that catches each breakage without a test. `through`: the histories go through a broker's requests, as those of a
 * breakage of the broker always do. `isOpen`: the histories have changed since `seed` caught it, and neither another seed
 * nor a test is known; each run says so and counts it as caught by nobody.
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
    test: {
      file: 'packages/store/test/mapped-file/zero-ahead.test.ts',
      name: 'zero ahead: a failed sync stops the store',
    },
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
    seed: 1,
  },
  {
    name: 'the durable point is put at the end of what was appended',
    file: 'store-parts.ts',
    from: 'this.#notes.flushed(flushedWhere, storeTimestamp),',
    to: 'this.#notes.flushed(this.#log.maxOffset, storeTimestamp),',
    seed: 46,
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
    seed: 2,
  },
  {
    name: 'dispatch goes past flushedWhere',
    file: 'log/commit-log.ts',
    from: 'return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.committedWhere;',
    to: 'return this.mappedFileQueue.committedWhere;',
    seed: 2,
  },
  {
    name: 'dispatch goes past what is written',
    file: 'log/commit-log.ts',
    from: 'return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.committedWhere;',
    to: 'return this.#confirmAtFlush ? this.mappedFileQueue.flushedWhere : this.mappedFileQueue.maxOffset;',
    seed: 44,
  },
  {
    name: 'a failed store takes messages',
    file: 'log/commit-log.ts',
    from: 'const { failure } = this.#context;\n    if (!failure) {',
    to: 'const failure = undefined as StoreError | undefined;\n    if (!failure) {',
    seed: 170,
  },
  {
    name: 'recovery believes the page cache and writes nothing again',
    file: 'recovery/recovery.ts',
    from: 'onVerified: (file, position, bytes) => rewriter.write(file, position, bytes),',
    to: '',
    seed: 8,
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
    file: 'dispatch/flush-consume-queue-service.ts',
    from: 'await onThoroughFlush(durableWhere);',
    to: 'await onThoroughFlush(dispatchedWhere());',
    test: {
      file: 'packages/store/test/dispatch/flush-consume-queue-service.test.ts',
      name: 'queue flush: the callback is told of what was dispatched before',
    },
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
    file: 'recovery/recovery.ts',
    from: "checkTorn: start.rule === 'durable-point'",
    to: 'checkTorn: false',
    test: {
      file: 'packages/store/test/recovery/recovery.test.ts',
      name: 'tail: a record that lacks a sector where no CRC',
    },
  },
  {
    name: 'zeros in properties are stored without a checksum',
    file: 'record/message-encoder.ts',
    from: "return this.#appendPropCrc || propertiesString.includes('\\0') || propertiesString.includes(PROPERTY_CRC32);",
    to: 'return this.#appendPropCrc;',
    seed: 3,
  },
  {
    name: 'queue entries above the start are kept',
    file: 'recovery/recovery.ts',
    from: 'for (const target of targets) await target.truncateDirty(dispatchFrom, false);',
    to: "for (const target of targets) if (target.name !== 'queues') await target.truncateDirty(dispatchFrom, false);",
    seed: 9,
  },
  {
    name: 'index entries above the start are kept',
    file: 'recovery/recovery.ts',
    from: 'for (const target of targets) await target.truncateDirty(dispatchFrom, false);',
    to: "for (const target of targets) if (target.name !== 'index') await target.truncateDirty(dispatchFrom, false);",
    test: {
      file: 'packages/store/test/recovery/recovery.test.ts',
      name: 'queues: index entries of records behind the end',
    },
  },
  {
    name: 'a consume-queue file’s name gets to the disk before its length',
    file: 'queue/consume-queue-files.ts',
    from: 'await this.#syncNow(written);',
    to: ';',
    test: {
      file: 'packages/store/test/queue/consume-queue-store.test.ts',
      name: 'consume queue store: a thorough flush makes files',
    },
  },
  {
    name: 'readers are given what fails its checksum',
    file: 'record/record-check.ts',
    from: 'return isWhole ? topicLengthAt : -1;',
    to: 'return isWhole || size > 0 ? topicLengthAt : -1;',
    test: { file: 'packages/torture/test/torture.test.ts', name: 'found: no bit of a record turned over' },
  },
  {
    name: 'group under ASYNC_FLUSH waits as long as the disk does',
    file: 'flush/next-flush.ts',
    from: 'const timer = clock.setTimer(() => {',
    to: 'const timer = ((_: () => void, __: number) => undefined)(() => {',
    seed: 44,
  },
  {
    name: 'half of a queue entry passes for a durable one',
    file: 'queue/consume-queue-recovery.ts',
    from: 'const asked = crossesSector(where, fileSize) ? index + 1 : index;',
    to: 'const asked = where > 0 ? index : index + 1;',
    test: {
      file: 'packages/store/test/queue/consume-queue-recovery.test.ts',
      name: 'queue recovery: the second half of an entry',
    },
  },
  {
    name: 'recovery writes to pages that the cache takes for written',
    file: 'recovery/recovery-repair.ts',
    from: 'const isDropped = await file.dropCache(pieceFrom, this.#pieceBytes);',
    to: 'const isDropped = pieceFrom >= 0;',
    test: { file: 'packages/torture/test/torture.test.ts', name: 'found: a message that a start found in pages' },
  },
  {
    name: 'a checkpoint in the page cache counts as durable',
    file: 'recovery/store-checkpoint.ts',
    from: 'if (bytes < CHECKPOINT_BYTES || !lastExitOk) {',
    to: 'if (bytes < CHECKPOINT_BYTES) {',
    test: { file: 'packages/torture/test/torture.test.ts', name: 'found: a checkpoint that a killed process left' },
  },
  {
    name: 'whenFlushed answers when it is written',
    file: 'log/commit-log.ts',
    from: 'if (offset <= flushedWhere) return Promise.resolve();',
    to: 'if (offset <= flushedWhere || offset <= this.mappedFileQueue.committedWhere) return Promise.resolve();',
    test: {
      file: 'packages/store/test/log/commit-log.test.ts',
      name: 'whenFlushed: does not resolve for what is written',
    },
  },
  {
    name: 'a queue’s next file is made while names in front of it are not durable',
    file: 'queue/consume-queue-files.ts',
    from: 'if (this.#unsyncedDirectories.has(directory)) {',
    to: "if (directory === '') {",
    test: {
      file: 'packages/store/test/queue/consume-queue-store.test.ts',
      name: 'consume queue store: a thorough flush makes files',
    },
  },
  {
    name: 'a damaged store keeps the queue entries that the crash left',
    file: 'recovery/recovery.ts',
    from: 'for (const target of this.#parts.targets) await target.truncateDirty(Math.min(start.dispatchFrom, scan.end), true);\n',
    to: '',
    test: { file: 'packages/torture/test/torture.test.ts', name: 'found: a damaged store gives the messages in front' },
  },
  {
    name: 'the names above the store are not made durable',
    file: 'io/store-directory.ts',
    from: 'if (isNew) {',
    to: 'if (Date.now() < 0) {',
    test: { file: 'packages/torture/test/torture.test.ts', name: 'found: the first start stopped before the names' },
  },
  {
    name: 'a queue’s name in the page cache counts as durable',
    file: 'queue/consume-queue.ts',
    from: 'this.#owner.files.markNamesUnsynced(this.topic, this.queueId);',
    to: '',
    test: {
      file: 'packages/torture/test/torture.test.ts',
      name: 'found: a queue file that a killed process made is not lost',
    },
  },
  {
    name: 'index slots that a crash left past the count are led back in memory alone',
    file: 'key-index/index-file.ts',
    from: 'if (highest >= indexCount) this.#slotsRepaired = true;',
    to: '',
    test: {
      file: 'packages/store/test/key-index/index-service.test.ts',
      name: 'index: slots that a crash left past the count keep',
    },
  },
  {
    name: 'readers are given a record whose lengths do not add up',
    file: 'record/record-check.ts',
    from: 'if (propertiesLengthAt + 2 + source.readInt16BE(propertiesLengthAt) !== end) return -1;\n',
    to: '',
    test: { file: 'packages/torture/test/torture.test.ts', name: 'found: no bit of a record turned over' },
  },
  {
    name: 'a producer is told SEND_OK when the flush has not come in time',
    package: 'broker',
    file: 'put/put-result.ts',
    from: 'return ResponseCode.FLUSH_DISK_TIMEOUT;',
    to: 'return ResponseCode.SUCCESS;',
    test: { file: 'packages/broker/test/processors/send-message.test.ts', name: 'each put status has its code' },
  },
  {
    name: 'delay levels are saved before what they delivered is on disk',
    package: 'broker',
    file: 'create-context.ts',
    from: 'await store.flush();\n',
    to: '',
    seed: 102,
  },
  {
    name: 'a delayed message is delivered before its time',
    package: 'broker',
    file: 'delay/delay-service.ts',
    from: 'const left = due - clock.now();',
    to: 'const left = due - clock.now() - 500;',
    seed: 10,
  },
  {
    name: 'timer files are saved before what they delivered is on disk',
    file: 'timer/timer-files.ts',
    from: 'isOnDisk = await this.#options.putsOnDisk();',
    to: 'isOnDisk = true;',
    test: {
      file: 'packages/broker/test/timer/timer-restart.test.ts',
      name: 'the place is saved only behind what is durable',
    },
  },
  {
    name: 'the timer wheel is on disk before the timer log',
    file: 'timer/timer-files.ts',
    from: 'await this.#log.sync();\n',
    to: '',
    test: { file: 'packages/store/test/timer/timer-files.test.ts', name: 'a power cut: what was flushed waits' },
  },
  {
    name: 'units behind the timer checkpoint are added a second time',
    file: 'timer/timer-files.ts',
    from: 'return this.#tail.has(logOffset);',
    to: 'return false;',
    test: { file: 'packages/store/test/timer/timer-files.test.ts', name: 'a power cut: what was flushed waits' },
  },
  {
    name: 'a timed message is delivered before its time',
    package: 'broker',
    file: 'timer/timer-due-service.ts',
    from: 'const dueAt = (lowest + 1) * files.precisionMs;',
    to: 'const dueAt = lowest * files.precisionMs;',
    test: {
      file: 'packages/broker/test/timer/timer-service.test.ts',
      name: 'a timed message is not there before its time',
    },
  },
  {
    name: 'a unit that is damaged says when its message comes',
    package: 'broker',
    file: 'timer/timer-due-service.ts',
    from: ' || !this.#isDue(message)',
    to: '',
    test: {
      file: 'packages/broker/test/timer/hostile-timers.test.ts',
      name: 'a unit that forgot that its message waits',
    },
  },
  {
    name: 'a chain that hides messages of its slot is believed',
    package: 'broker',
    file: 'timer/slot-units.ts',
    from: 'messages < num',
    to: 'messages < 0',
    test: {
      file: 'packages/broker/test/timer/hostile-timers.test.ts',
      name: 'a unit that came to a slot after it had fired',
    },
  },
  {
    name: 'recalls of a slot are read with its messages',
    package: 'broker',
    file: 'timer/timer-due-service.ts',
    from: 'recalled.add((await this.#read(unit))?.properties);',
    to: 'void unit;',
    test: { file: 'packages/broker/test/timer/recall.test.ts', name: 'recalled before its time: not delivered' },
  },
  {
    name: 'a producer is answered before its put',
    package: 'broker',
    file: 'put/put-service.ts',
    from: `return store
      .asyncPutMessage(inner, rules.isAwaited ? undefined : 'async')
      .then(`,
    to: `const place = { wroteOffset: store.maxPhyOffset, queueOffset: 0, wroteBytes: 1, messageCount: 1, storeTimestamp: 0 };
    return Promise.resolve({ ...place, status: 'PUT_OK' } as PutMessageResult)
      .then(`,
    seed: 1,
  },
  {
    name: 'the tables are not saved when the broker shuts down',
    package: 'broker',
    file: 'metadata/metadata-files.ts',
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
    file: 'create-context.ts',
    from: 'topics.adoptStoredQueues(store.queuesByTopic(), store.batchQueuesByTopic());\n',
    to: '',
    test: {
      file: 'packages/broker/test/accepted-is-kept.test.ts',
      name: 'a topic whose messages are there and whose configuration',
    },
  },
  {
    name: 'files expire whose records have their queue entries in memory alone',
    file: 'clean/clean-commit-log-service.ts',
    from: 'const limit = this.#queuesCompleteWhere();',
    to: 'const limit = Number.POSITIVE_INFINITY;',
    seed: 496,
  },
  {
    name: 'another file expires while the name of the one before it may be on the disk',
    file: 'mapped-file/mapped-file-queue.ts',
    from: 'this.#isRemovalUnsure = !isPassingLack(error);\n',
    to: '',
    test: {
      file: 'packages/store/test/mapped-file/mapped-file-queue.test.ts',
      name: 'deleteExpiredFileByTime: when a removed file’s name',
    },
  },
  {
    name: 'files expire before their time',
    file: 'mapped-file/mapped-file-queue.ts',
    from: 'changedMs + expiredTimeMs > now',
    to: 'changedMs + expiredTimeMs / 2 > now',
    test: {
      file: 'packages/store/test/clean/clean-commit-log-service.test.ts',
      name: 'in an hour of deleteWhen files go',
    },
  },
  {
    name: 'files expire by a clock that was set ahead',
    file: 'clean/expiry-clock.ts',
    from: 'if (aheadMs <= toleranceMs) {',
    to: 'if (aheadMs <= 1e15) {',
    seed: 64,
  },
  {
    name: 'a deletion is answered before it is on disk',
    file: 'dispatch/topic-deletion.ts',
    from: 'await deletions.record(topic, deadBelow, log.minOffset());',
    to: 'void deletions.record(topic, deadBelow, log.minOffset()).catch(() => {});',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: a deletion is neither answered nor in force',
    },
  },
  {
    name: 'a deletion has no place in the log',
    file: 'queue/deletions.ts',
    from: 'await this.#write(pairs);\n    for',
    to: 'for',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: a topic is deleted and not remade: after a kill, SYNC',
    },
  },
  {
    name: 'a deletion is on record before the log in front of it is on disk',
    file: 'dispatch/topic-deletion.ts',
    from: 'await log.flushTo(deadBelow);\n',
    to: '',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: the log is on disk up to a deletion',
    },
  },
  {
    name: 'records of a deleted life get entries in the next one',
    file: 'queue/consume-queue.ts',
    from: ' || request.commitLogOffset < this.#life.deadBelow) return false;',
    to: ') return false;',
    test: {
      file: 'packages/store/test/recovery/recovery.test.ts',
      name: 'lives: a queue whose messages the log has lost',
    },
  },
  {
    name: 'records of a deleted life make queues',
    file: 'queue/consume-queue-store.ts',
    from: 'if (commitLogOffset < this.#deletions.deadBelow(topic)) return undefined;\n',
    to: '',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: a topic is deleted and not remade: after a kill, SYNC',
    },
  },
  {
    name: 'queues of a deleted life that a crash left are kept',
    file: 'queue/consume-queue-store.ts',
    from: 'for (const queue of dropped) this.#dropQueue(queue);\n',
    to: '',
    test: {
      file: 'packages/store/test/recovery/recovery.test.ts',
      name: 'lives: a deletion on record, and queues of what is dead',
    },
  },
  {
    name: 'a put during the deletion of its topic does not wait for it',
    file: 'log/commit-log.ts',
    from: 'if (this.#held.topicCount > 0 && this.#held.isHeld(message.topic)) {',
    to: 'if (this.#held.topicCount < 0) {',
    seed: 1,
  },
  {
    name: 'queues are written while those of the deleted life are there',
    file: 'queue/consume-queue-store.ts',
    from: '(queue) => this.#removals.length === 0 || !this.#isWithheld(queue),',
    to: '() => true,',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: messages of the next life can be read',
    },
  },
  {
    name: 'the removal of a deleted topic’s queues is not made durable',
    file: 'queue/consume-queue-files.ts',
    from: 'await this.#syncDirectory(dirname(path));\n',
    to: '',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: once a deletion is answered, no power cut',
    },
  },
  {
    name: 'a deletion beyond the end of the log stays there',
    file: 'recovery/recovery.ts',
    from: 'await this.#parts.deletions?.endAt(scan.end, this.#files[0]!.from);\n',
    to: '',
    test: {
      file: 'packages/store/test/recovery/recovery.test.ts',
      name: 'lives: a deletion beyond the end of the log',
    },
  },
  {
    name: 'numbers that start again count as repeated',
    file: 'queue/queue-restarts.ts',
    from: 'if (consumeQueueOffset === 0 && queue?.isBehindEntries(request)) this.#held.set(queue, request);\n    else',
    to: '',
    test: { file: 'packages/store/test/recovery/recovery.test.ts', name: 'lives: numbers that start again at 0' },
  },
  {
    name: 'a number 0 is believed whatever follows',
    file: 'queue/queue-restarts.ts',
    from: 'if (consumeQueueOffset === 1) this.#restart(queue, held);',
    to: 'if (consumeQueueOffset > 0) this.#restart(queue, held);',
    test: { file: 'packages/store/test/recovery/recovery.test.ts', name: 'lives: one record whose number reads 0' },
  },
  {
    name: 'a reader that follows stays where the deleted topic ended',
    file: 'read/read-queue.ts',
    from: '      offset = 0;\n',
    to: '',
    test: { file: 'packages/store/test/read/read-queue.test.ts', name: 'readQueue: who follows from start' },
  },
  {
    name: 'a query finds deleted messages',
    file: 'read/key-query.ts',
    from: 'const isDead = phyOffset < query.deadBelow;',
    to: 'const isDead = phyOffset < 0;',
    test: {
      file: 'packages/store/test/dispatch/topic-deletion.test.ts',
      name: 'lives: a topic is deleted and remade: after a kill, SYNC',
    },
  },
  {
    name: 'the checkpoint goes on expecting the entries of a deleted topic',
    file: 'dispatch/topic-deletion.ts',
    from: 'await queues.note();\n',
    to: '',
    test: {
      file: 'packages/store/test/record/dispatch-target.test.ts',
      name: 'targets: a killed store whose newest topic',
    },
  },
  {
    name: 'recovery starts where the first target is, not the last',
    file: 'recovery/recovery.ts',
    from: 'completeWhere = Math.min(completeWhere, found.completeWhere);',
    to: 'if (completeWhere === Number.POSITIVE_INFINITY) completeWhere = found.completeWhere;',
    test: {
      file: 'packages/store/test/record/dispatch-target.test.ts',
      name: 'targets: recovery starts at the smallest',
    },
  },
  {
    name: 'the offsets of a deleted topic are not saved before it is answered',
    package: 'broker',
    file: 'admin/topic-admin.ts',
    from: 'await this.#parts.offsetsFile.save();\n    await this.#saved();\n    return undefined;\n  }\n\n  /**\n   * The table is on disk',
    to: 'await this.#saved();\n    return undefined;\n  }\n\n  /**\n   * The table is on disk',
    test: { file: 'packages/broker/test/accepted-is-kept.test.ts', name: 'no offset of a deleted topic comes back' },
  },
  {
    name: 'the name of the tables’ directory is not made durable',
    package: 'broker',
    file: 'create-context.ts',
    from: 'await fileSystem.syncDirectory(root);\n',
    to: '',
    test: { file: 'packages/broker/test/accepted-is-kept.test.ts', name: 'the first table that is saved does not go' },
  },
  {
    name: 'what is due goes into a queue that consumers do not read',
    package: 'broker',
    file: 'topics/destinations.ts',
    from: 'if (queueId >= known.readQueueNums) {',
    to: 'if (queueId >= QUEUE_COUNT_MAX) {',
    test: {
      file: 'packages/broker/test/topics/destinations.test.ts',
      name: 'a message that is due for a queue that was taken away',
    },
  },
  {
    name: 'what is due is put before topics.json says that its queue is read',
    package: 'broker',
    file: 'topics/destinations.ts',
    from: 'return topics.isQueueSaved(topic, queueId) ? undefined : topicsFile.save();',
    to: 'return undefined;',
    test: { file: 'packages/broker/test/topics/destinations.test.ts', name: 'nothing is put before topics.json' },
  },
  {
    name: 'a message is stored in a queue of which topics.json does not know',
    package: 'broker',
    file: 'topics/queues-on-disk.ts',
    from: 'return queueId < Math.min(fewest, this.#beingSaved.get(topic) ?? fewest);',
    to: 'return true;',
    test: {
      file: 'packages/broker/test/topics/queues-on-disk.test.ts',
      name: 'nothing is stored in a queue that a start',
    },
  },
  {
    name: 'timer units that a killed process wrote are believed and not synced',
    file: 'timer/timer-recovery.ts',
    from: 'await log.rewrite(from);\n',
    to: '',
    test: {
      file: 'packages/store/test/timer/timer-files.test.ts',
      name: 'what a killed process had written and not synced',
    },
  },
  {
    name: 'timer units without a place in the wheel are taken for known',
    file: 'timer/timer-recovery.ts',
    from: "if (!isDone && wheel.place(number) !== 'free') continue;\n      if (tail.size < TAIL_UNITS_MAX) tail.add(unit.logOffset);\n",
    to: "if (tail.size < TAIL_UNITS_MAX) tail.add(unit.logOffset);\n      if (!isDone && wheel.place(number) !== 'free') continue;\n",
    test: {
      file: 'packages/store/test/timer/timer-files.test.ts',
      name: 'a unit behind the checkpoint that has no place',
    },
  },
];
