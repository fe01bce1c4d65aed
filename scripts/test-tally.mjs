// A reporter of node:test for scripts/test-files.mjs: one line of JSON for each test that starts, passes, fails or is
// skipped. The process that reads them sums up over many files, and knows what a file was at when it was killed.
export default async function* tally(source) {
  for await (const { type, data } of source) {
    if (type === 'test:dequeue') yield line('start', data);
    else if (type === 'test:fail') yield line('fail', data);
    // A suite passes when its tests did; it is not counted beside them.
    else if (type === 'test:pass' && data.details?.type !== 'suite')
      yield line(data.skip !== undefined || data.todo !== undefined ? 'skip' : 'pass', data);
  }
}

function line(event, { name, line: number, details }) {
  // The cause of a failed suite is its failed tests, which are in the list already.
  if (event === 'fail' && details?.error?.failureType === 'subtestsFailed') return '';
  const said = event === 'fail' ? `line ${number}: ${name}` : name;
  return `${JSON.stringify({ event, name: said })}\n`;
}
