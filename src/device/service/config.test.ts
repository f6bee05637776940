import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { policyOf } from '../../pstore/policy.js';
import { parseConfig } from './config.js';
import { settingsOf, socketsOf } from './settings.js';
import { parseAddress, parseBytes, parseCount, parseMode } from './values.js';

const usage = (pattern: RegExp) => (error: unknown) => isExhumeError(error, 'EXH_USAGE') && pattern.test(error.message);

test('sizes, counts, modes and addresses', () => {
  assert.deepEqual(['0', '4096', '64K', '16m', '1GiB', '2TB'].map(parseBytes), [
    0,
    4096,
    65536,
    1 << 24,
    2 ** 30,
    2 ** 41,
  ]);
  assert.deepEqual(['600', '0660'].map(parseMode), [0o600, 0o660]);
  assert.equal(parseCount('12'), 12);
  assert.deepEqual(['9464', '0.0.0.0:1', '[::1]:80', 'host.example:0'].map(parseAddress), [
    { host: '127.0.0.1', port: 9464 },
    { host: '0.0.0.0', port: 1 },
    { host: '::1', port: 80 },
    { host: 'host.example', port: 0 },
  ]);
  for (const [parse, texts] of [
    [parseBytes, ['', '-1', '1.5M', '1X', 'K', '99999999T']],
    [parseCount, ['', '-1', '1.5', '1e3', '0x10']],
    [parseMode, ['', '66', '888', '1777', 'rw']],
    [parseAddress, ['', 'x', '65536', ':80', '::1:80', '[::1]', 'host:']],
  ] as const) {
    for (const text of texts) assert.throws(() => parse(text), usage(/is no/), `${parse.name} ${text}`);
  }
});

const FILE = JSON.stringify({
  dir: '/records',
  socket: '/run/{guest}.sock',
  'keep-first': 10,
  'guest-quota': '1M',
  types: { unknown: { 'keep-first': 0 } },
  guests: { web: {}, db: { 'guest-quota': '2M', rate: 100, types: { dmesg: { 'keep-last': 3 } } } },
  'on-disk-error': 'pause',
  qmp: '/run/qmp',
  'on-record': ['/bin/tell', '-v'],
  metrics: 9464,
});

test('a configuration file: of all, of a type, of a guest; the command line counts more than what is said of all', () => {
  const settings = settingsOf(parseConfig(FILE, 'f'), { keepFirst: 5, guestQuota: 3000, guest: ['x'] });
  assert.deepEqual(settings.guests, ['x', 'web', 'db']);
  assert.deepEqual(
    [...socketsOf(settings, ['found', 'web'])],
    ['x', 'web', 'db', 'found'].map((guest) => [guest, `/run/${guest}.sock`]),
  );
  const web = policyOf(settings.store, 'web');
  assert.deepEqual(
    [web.keepFirst, web.keepLast, web.guestBytes, web.types],
    [5, 96, 3000, { unknown: { keepFirst: 0 } }],
  );
  const db = policyOf(settings.store, 'db');
  assert.deepEqual([db.guestBytes, db.bytesPerSecond, db.burstBytes], [2 << 20, 100, 16 << 20]);
  assert.deepEqual(db.types, { unknown: { keepFirst: 0 }, dmesg: { keepLast: 3 } });
  assert.equal(settings.monitor, '/run/qmp/{guest}.qmp');
  assert.deepEqual(settings.hook, ['/bin/tell', '-v']);
  assert.deepEqual(settings.metrics, { host: '127.0.0.1', port: 9464 });
});

test('what a file may not say is refused, with where it says so', () => {
  for (const [text, pattern] of [
    ['', /^f: /],
    ['[]', /an object is expected/],
    ['{"dri":"x"}', /"dri" is not known/],
    ['{"dir":""}', /dir: a text/],
    ['{"guests":{"web":{"keep-first":-1}}}', /guests: web: keep-first: -1 is no whole number/],
    ['{"guests":{"web":{"dir":"x"}}}', /guests: web: "dir" is not known/],
    ['{"types":{"log":{}}}', /types: log: one of dmesg/],
    ['{"discover":"yes"}', /discover: true or false/],
    ['{"on-record":[1]}', /on-record: a text/],
    ['{"log-level":"loud"}', /log-level: one of debug/],
    ['{"__proto__":{"dir":"x"}}', /"__proto__" is not known/],
  ] as const) {
    assert.throws(() => parseConfig(text, 'f'), usage(pattern), text);
  }
});

test('what makes no sense together is refused', () => {
  const base = { dir: '/records', socket: ['/run/{guest}'], guest: ['a'] };
  for (const [line, pattern] of [
    [{ socket: ['/x'] }, /no directory/],
    [{ dir: '/records' }, /no socket/],
    [{ ...base, guest: [] }, /no guest for/],
    [{ ...base, socket: ['/run/web.sock'] }, /need a socket for each/],
    [{ dir: '/records', socket: ['/a/web.sock', '/b/web'] }, /the same guest, web/],
    [{ ...base, guest: ['../a'] }, /cannot be a guest's name/],
    [{ ...base, onDiskError: 'pause' }, /paused by its monitor/],
    [{ ...base, keepLast: 0 }, /keeps at least the last record/],
    [{ ...base, types: { dmesg: { keepLast: 0 } } }, /keeps at least/],
    [{ ...base, guests: { a: { keepLast: 0 } } }, /keeps at least/],
  ] as const) {
    assert.throws(() => settingsOf({}, line), usage(pattern), JSON.stringify(line));
  }
  const twice = settingsOf({}, { ...base, socket: ['/run/{guest}', '/run/{guest}'] });
  assert.deepEqual([...socketsOf(twice, ['a'])], [['a', '/run/a']]);
});
