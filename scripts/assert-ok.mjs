// Preloaded by tests. For a failing `assert.ok(x)` without a message Node 20 looks for the expression in the source file, at
// the position of the compiled line; in some TypeScript files that search does not end, and the failure looks like a hang.
import assert, { AssertionError } from 'node:assert';
import { syncBuiltinESMExports } from 'node:module';
import { inspect } from 'node:util';

for (const each of [assert, assert.strict]) {
  const original = each.ok;
  each.ok = function ok(actual, message) {
    if (actual || message !== undefined) return original(actual, message);
    const said = `The value is not truthy: ${inspect(actual)}`;
    throw new AssertionError({ message: said, actual, expected: true, operator: '==', stackStartFn: each.ok });
  };
}
syncBuiltinESMExports();
