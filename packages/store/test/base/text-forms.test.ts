import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addresses, host, hostOrNothing, hours, path, splitAddresses } from '../../src/base/text-forms.ts';

function accepts(form: { fault(text: string): string | undefined }, texts: readonly string[]): void {
  for (const text of texts) assert.equal(form.fault(text), undefined, text);
}
function refuses(form: { fault(text: string): string | undefined }, texts: readonly string[]): void {
  for (const text of texts) assert.equal(typeof form.fault(text), 'string', text);
}

test('hours of the day', () => {
  accepts(hours, ['04', '4', '00;23', ' 04 ; 16 ', '', '04;04']);
  refuses(hours, ['25', '24', '04,16', '4am', '04;', ';', '-1', '004', '0x4', '04;25', '1 2', 'NaN']);
});

test('a host is a name or an address, and neither a URL nor a list nor a mistyped address', () => {
  accepts(host, ['localhost', 'a.example', 'broker_1', '10.1.2.3', '::1', 'fe80::1', 'A-b.C', '1a.2b']);
  const wrong = ['http://a', 'a:80', '10.1.2.300', '10.1.2', '1', '', ' a', 'a b', 'a,b', '-a', 'a-', 'a..b', '[::1]'];
  refuses(host, [...wrong, '*', '10.1.2.3 # host', 'a/b', 'a'.repeat(64), `${'a.'.repeat(127)}aa`, 'ü.de']);
  accepts(hostOrNothing, ['', 'a']);
  refuses(hostOrNothing, ['http://a', ' ']);
});

test('addresses of nameservers', () => {
  accepts(addresses, ['', 'a:9876', 'a:1;b:65535', '[::1]:9876', '10.0.0.1:9876; 10.0.0.2:9876', 'a:1,b:2', ';']);
  const wrong = [
    'a',
    'a:',
    'a:0',
    'a:65536',
    'http://a:9876',
    ':9876',
    'a:1;b',
    '::1:9876',
    '[a]:1',
    'a:9876/x',
    'a:1e3',
  ];
  refuses(addresses, [...wrong, '10.1.2.3:9876 # mine', 'a:1:2', '[::1]', 'a:-1', 'a:99999']);
  assert.deepEqual(splitAddresses(' a:1 ;b:2,, c:3'), ['a:1', 'b:2', 'c:3']);
});

test('a path takes nearly everything', () => {
  accepts(path, ['/data', './x y', 'C:\\data', '/data#1', '']);
  refuses(path, ['/data\0', '/data # the log']);
});
