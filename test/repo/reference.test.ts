import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROKER_ERROR_CODES } from '../../packages/broker/src/errors.ts';
import { DOCTOR_ERROR_CODES } from '../../packages/doctor/src/errors.ts';
import { METRICS_ERROR_CODES } from '../../packages/metrics/src/errors.ts';
import { requestCodeName } from '../../packages/remoting/src/codes/request-code.ts';
import { REMOTING_ERROR_CODES } from '../../packages/remoting/src/errors.ts';
import { STORE_ERROR_CODES } from '../../packages/store/src/base/errors.ts';
import { CLI_ERROR_CODES } from '../../packages/vernier/src/errors.ts';
import { exitCodeOf } from '../../packages/vernier/src/exit-codes.ts';
import { generated, generatedFiles, withGeneratedParts } from './reference.ts';
import { brokerCodes, brokerMeanings, namesrvCodes, namesrvMeanings } from './request-codes.ts';
import { packageFolders, read, sourcesOf } from './workspace.ts';

const codes: Record<string, readonly string[]> = {
  store: STORE_ERROR_CODES,
  remoting: REMOTING_ERROR_CODES,
  broker: BROKER_ERROR_CODES,
  vernier: CLI_ERROR_CODES,
  doctor: DOCTOR_ERROR_CODES,
  metrics: METRICS_ERROR_CODES,
};
const everyCode = Object.values(codes).flat();

for (const file of Object.keys(generated)) {
  test(`reference: ${file} is what the code says (npm run docs writes it)`, () => {
    assert.equal(read(file), withGeneratedParts(file, read(file)));
  });
}

for (const [file, render] of Object.entries(generatedFiles)) {
  test(`reference: ${file} is what the code says (npm run docs writes it)`, () => {
    assert.equal(read(file), render());
  });
}

test('reference: every request code that is answered is described, and none that is not', () => {
  for (const [codes, meanings] of [
    [brokerCodes(), brokerMeanings],
    [namesrvCodes(), namesrvMeanings],
  ] as const) {
    assert.deepEqual(codes.map(requestCodeName).sort(), Object.keys(meanings).sort());
  }
});

test('reference: every error code has its heading in docs/reference/errors.md and no heading is left over', () => {
  const headings = [...read('docs/reference/errors.md').matchAll(/^### (.+)$/gm)].map((match) => match[1]);
  assert.deepEqual(headings, everyCode);
});

test('reference: every error page says the cause and the remedy', () => {
  for (const section of read('docs/reference/errors.md').split(/^### /m).slice(1)) {
    const code = section.slice(0, section.indexOf('\n'));
    assert.match(section, /^\*\*Cause\.\*\* \S/m, code);
    assert.match(section, /^\*\*Remedy\.\*\* \S/m, code);
    assert.match(section, /^\*\*Exit code\.\*\* \S/m, code);
  }
});

test('reference: the exit code that a page names is the one the command gives', () => {
  for (const section of read('docs/reference/errors.md').split(/^### /m).slice(1)) {
    const code = section.slice(0, section.indexOf('\n'));
    const [, atStart, later] = /^\*\*Exit code\.\*\* (\d)(?: at start, (\d) later)?\.?$/m.exec(section) ?? [];
    assert.equal(String(exitCodeOf({ code }, 'starting')), atStart, `${code} at start`);
    assert.equal(String(exitCodeOf({ code })), later ?? atStart, `${code} later`);
  }
});

test('reference: every error code is used somewhere', () => {
  for (const folder of packageFolders) {
    const text = sourcesOf(folder)
      .filter((file) => !file.endsWith('/errors.ts'))
      .map(read)
      .join('\n');
    const unused = (codes[folder] ?? []).filter((code) => !text.includes(`'${code}'`));
    assert.deepEqual(unused, [], folder);
  }
});
