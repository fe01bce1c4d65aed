import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrowsOf, houses, roomOf, sourcesOfHouse, wrongArrows } from './rooms.ts';
import { importsOf, manifestOf, packageFolders, packageOf, read, sourcesOf } from './workspace.ts';

/** docs/architecture.md: vernier → doctor, metrics, proxy, torture → broker → remoting, store. */
const mayImport: Record<string, readonly string[]> = {
  remoting: [],
  store: [],
  broker: ['@vernier/remoting', '@vernier/store'],
  doctor: ['@vernier/remoting', '@vernier/store'],
  metrics: ['@vernier/broker', '@vernier/remoting', '@vernier/store'],
  proxy: ['@vernier/broker', '@vernier/doctor', '@vernier/remoting', '@vernier/store'],
  torture: ['@vernier/broker', '@vernier/remoting', '@vernier/store'],
  vernier: [
    ...['@vernier/broker', '@vernier/doctor', '@vernier/metrics', '@vernier/proxy', '@vernier/remoting'],
    ...['@vernier/store', '@vernier/torture'],
  ],
};
const ours = new Set(packageFolders.map((folder) => manifestOf(folder).name));

/** Parts taken from outside stay replaceable behind the one place that uses them. */
const confinedTo: Record<string, (file: string) => boolean> = {
  koffi: (file) => file === 'packages/store/src/io/native.ts',
  commander: (file) => file.startsWith('packages/vernier/src/'),
  pino: (file) => file.startsWith('packages/vernier/src/'),
  lz4js: (file) => file === 'packages/doctor/src/bodies.ts',
  fzstd: (file) => file === 'packages/doctor/src/bodies.ts',
  '@grpc/grpc-js': (file) =>
    [
      ...['definitions.ts', 'server.ts', 'serving.ts', 'side-services.ts'].map((name) => `packages/proxy/src/${name}`),
      'packages/metrics/src/exporters/push.ts',
    ].includes(file),
  ...Object.fromEntries(
    ['api', 'exporter-metrics-otlp-grpc', 'exporter-prometheus', 'otlp-transformer', 'sdk-metrics'].map((name) => [
      `@opentelemetry/${name}`,
      (file: string) => file.startsWith('packages/metrics/src/exporters/'),
    ]),
  ),
  // What pbjs makes (scripts/messages.mjs) imports it; no source of ours does.
  protobufjs: () => false,
};

function everyImport(): { file: string; folder: string; specifier: string }[] {
  return packageFolders.flatMap((folder) =>
    sourcesOf(folder).flatMap((file) => importsOf(read(file)).map((specifier) => ({ file, folder, specifier }))),
  );
}

test('imports: the check itself sees every form of import', () => {
  const source = `
    import a from 'a';
    import type { B } from "@x/b/c";
    export { d } from './d.ts';
    import 'side-effect';
    const e = await import('e/f');
    const g = require('g');
    const h = createRequire(import.meta.url)('h');
    // import no from 'comment';
    /* import no from 'block'; */
  `;
  assert.deepEqual(importsOf(source).sort(), ['./d.ts', '@x/b/c', 'a', 'e/f', 'g', 'h', 'side-effect']);
  assert.equal(packageOf('@x/b/c'), '@x/b');
  assert.equal(packageOf('e/f'), 'e');
  assert.equal(packageOf('node:fs'), undefined);
  assert.ok(everyImport().length > 50);
});

test('imports: packages point one way, vernier → broker → remoting, store', () => {
  for (const folder of packageFolders) assert.ok(mayImport[folder], `say in this test what ${folder} may import`);
  const wrong = everyImport().filter(({ folder, specifier }) => {
    const name = packageOf(specifier);
    return name !== undefined && ours.has(name) && !mayImport[folder]!.includes(name);
  });
  assert.deepEqual(wrong, []);
});

const houseNames = ['store', 'broker'] as const;

test('imports: the check of the rooms sees a wrong import, and a file that is in no room', () => {
  const house = houses.broker;
  const wrong = (file: string, specifier: string) =>
    wrongArrows(house, arrowsOf(house, new Map([[file, `import type { X } from '${specifier}';`]])));
  assert.deepEqual(wrong('put/put-service.ts', '../base/caller.ts'), []);
  assert.deepEqual(wrong('put/put-service.ts', './put-rules.ts'), []);
  assert.deepEqual(wrong('broker.ts', './processors/index.ts'), []);
  assert.deepEqual(wrong('put/put-service.ts', '../processors/requests.ts'), [
    { from: 'put', to: 'processors', by: 'put/put-service.ts → processors/requests.ts' },
  ]);
  assert.equal(wrong('base/caller.ts', '../topics/topic-config-manager.ts').length, 1);
  assert.equal(wrong('put/put-service.ts', '../context.ts').length, 1, 'a service knows nothing of the whole');
  assert.equal(wrong('put/put-service.ts', '../broker.ts').length, 1);
  assert.equal(wrong('filter/sql92/parser.ts', '../../put/put-service.ts').length, 1);
  assert.equal(wrong('attic/old.ts', '../base/caller.ts').length, 1);
  assert.equal(wrong('put/put-service.ts', '../attic/old.ts').length, 1);
});

for (const name of houseNames) {
  const house = houses[name];
  const sources = sourcesOfHouse(name);
  const arrows = arrowsOf(house, sources);

  test(`imports: every source of ${name} is in a room`, () => {
    assert.deepEqual(
      [...sources.keys()].filter((file) => roomOf(house, file) === undefined),
      [],
    );
  });

  test(`imports: the rooms of ${name} import only what test/repo/rooms.ts allows`, () => {
    assert.deepEqual(wrongArrows(house, arrows), []);
  });

  test(`imports: the arrows between the rooms of ${name} have no circle, and each is used`, () => {
    const above = new Set<string>();
    for (const room of house.rooms) {
      for (const other of room.mayImport) {
        assert.ok(above.has(other), `${room.name} may import ${other}, which has to stand above it`);
        const isUsed = arrows.some(({ from, to }) => from === room.name && to === other);
        assert.ok(isUsed, `${room.name} imports nothing of ${other} any more`);
      }
      above.add(room.name);
    }
  });
}

/** Rooms that speak the wire; the others speak of messages, queues, offsets and statuses. */
const SPEAKS_WIRE = new Set(['processors', 'gate', 'long-answers', 'namesrv', 'registration', '(top)']);
const wire = /\b(RemotingCommand|RemotingConnection|RemotingServer|RequestHandler|createResponse|createRequest)\b/;

test('imports: below the processors nobody knows a frame or a connection', () => {
  const wrong = [...sourcesOfHouse('broker')].filter(
    ([file, content]) => !SPEAKS_WIRE.has(roomOf(houses.broker, file) ?? '') && wire.test(content),
  );
  assert.deepEqual(
    wrong.map(([file]) => file),
    [],
  );
});

test('imports: a processor does not reach the store or the counters', () => {
  const reaches = /[{,.]\s*(store|stats)\b(?!-)/;
  const wrong = [...sourcesOfHouse('broker')].filter(
    ([file, content]) => file.startsWith('processors/') && reaches.test(content.replaceAll(/import[^;]*;/g, '')),
  );
  assert.deepEqual(
    wrong.map(([file]) => file),
    [],
  );
});

test('imports: nobody reaches into the files of another package', () => {
  const wrong = everyImport().filter(({ file, specifier }) => {
    const name = packageOf(specifier);
    if (name !== undefined && ours.has(name)) {
      return !['', '/internal', '/broker-front', '/package.json'].includes(specifier.slice(name.length));
    }
    if (!specifier.startsWith('.')) return false;
    // Relative: must stay below the package's src (its manifest is read with a URL and not imported).
    const depth = file.split('/').length - 4;
    return (specifier.match(/\.\.\//g)?.length ?? 0) > depth;
  });
  assert.deepEqual(wrong, []);
});

/** `vernier torture` is the test kit as a command: it loads the simulated disk when it is called, and nobody else does. */
const MAY_TEST = new Set(['packages/vernier/src/commands/torture.ts']);

test('imports: no source takes the test doubles', () => {
  const wrong = everyImport().filter(
    ({ file, specifier }) => packageOf(specifier) === '@vernier/torture' && !MAY_TEST.has(file),
  );
  assert.deepEqual(wrong, []);
});

test('imports: parts from outside stay where they belong', () => {
  const wrong = everyImport().filter(({ file, specifier }) => {
    const name = packageOf(specifier);
    return name !== undefined && confinedTo[name] !== undefined && !confinedTo[name](file);
  });
  assert.deepEqual(wrong, []);
});

test('imports: what a package imports stands in its manifest, and the other way round', () => {
  const importedFromOutside = everyImport()
    .flatMap(({ specifier }) => packageOf(specifier) ?? [])
    .filter((name) => !name.startsWith('@vernier/') && name !== 'vernier');
  for (const folder of packageFolders) {
    const used = new Set(
      everyImport()
        .filter((entry) => entry.folder === folder)
        .map(({ specifier }) => packageOf(specifier))
        .filter((name) => name !== undefined),
    );
    // What is made of the .proto files imports it (scripts/messages.mjs).
    if (folder === 'proxy' || folder === 'vernier') used.add('protobufjs');
    // The command's bundle has the other packages in it, and looks for what these import from where it lies itself.
    if (folder === 'vernier') for (const name of importedFromOutside) used.add(name);
    assert.deepEqual([...used].sort(), Object.keys(manifestOf(folder).dependencies ?? {}).sort(), folder);
  }
});

test('imports: relative ones end in .ts, as Node and the compiler want them', () => {
  const wrong = everyImport().filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier));
  assert.deepEqual(wrong, []);
});
