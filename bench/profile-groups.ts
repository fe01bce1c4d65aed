/**
 * Where the time of a thread goes, by what the code does. `name` is as selfTimes() has it: function, file, line. The first
 * group that takes a name has it. `store/dist/commit-log` and `broker/dist/broker` are folders of the first version, which
 * `--before` measures.
 */
const groups: readonly (readonly [group: string, takes: RegExp])[] = [
  ['garbage collector', /^\(garbage collector\)/],
  ['native, not told apart', /^\(program\)/],
  [
    'calls into the kernel, on the event loop',
    /^(writev|writeBuffer|writeBuffers|writeUtf8String|read|write|pwrite|fdatasync|fsync|open|close)$/,
  ],
  ['checksums', /^(crc32|crc32Masked)\b/],
  ['copies', /^(_?copy\w*|set|fill|adjustOffset)( |$)/],
  ['regular expressions', /^RegExp:|^(test|exec|match|replace)$/],
  [
    'strings',
    /^(utf8Slice|latin1Slice|asciiSlice|utf8Write|latin1Write|utf8WriteStatic|toString|slice|write|join|split|concat|parse|stringify|byteLength\w*)( node:|$)/,
  ],
  ['views of buffers', /^(subarray|FastBuffer|createUnsafeBuffer|allocUnsafe\w*|allocate|from\w*) node:/],
  [
    'promises and turns of the event loop',
    /^runMicrotasks|^processTicks|node:internal\/(process|promises|async_hooks|timers)|node:timers|^processImmediate|^listOnTimeout/,
  ],
  [
    'sockets and streams of Node',
    /node:(net|events|stream|internal\/(stream|streams|js_stream)|_stream)|(streams|stream_base_commons)/,
  ],
  ['frames, headers, answers', /packages\/remoting\/dist\/(protocol|codes|message)/],
  ['connections', /packages\/remoting\/dist\/net/],
  [
    'properties',
    /packages\/(store\/dist\/((record|commit-log)\/propert|record\/own-message)|broker\/dist\/(put|broker)\/propert)/,
  ],
  ['put: rules and hooks', /packages\/broker\/dist\/(put|broker\/(put|processors\/send|retry))/],
  ['dispatch, queues, index', /packages\/store\/dist\/(dispatch|queue|key-index|commit-log\/(reput|record-dispatch))/],
  ['record and log', /packages\/store\/dist\/(record|log|commit-log|mapped-file|message-store|base|store)/],
  ['flush and disk lane', /packages\/store\/dist\/(flush|io)/],
  ['reading', /packages\/store\/dist\/read/],
  ['statistics', /packages\/broker\/dist\/(stats|broker\/broker-stats)/],
  ['broker, other', /packages\/broker\/dist/],
];
const OTHER = 'other';

/** Microseconds by group, in the groups' order, those without any left out. */
export function byGroup(times: readonly { name: string; us: number }[]): { group: string; us: number }[] {
  const sums = new Map<string, number>();
  for (const { name, us } of times) {
    const group = groups.find(([, takes]) => takes.test(name))?.[0] ?? OTHER;
    sums.set(group, (sums.get(group) ?? 0) + us);
  }
  return [...groups.map(([group]) => group), OTHER].flatMap((group) => {
    const us = sums.get(group);
    return us === undefined ? [] : [{ group, us }];
  });
}
