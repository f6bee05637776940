import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { isExhumeError } from '../../bytes/errors.js';
import { startMachine } from '../../testing/pstore-machine.js';
import { QmpMonitor } from '../../testing/qmp-monitor.js';
import { unixAddress } from '../native/libc.js';
import { loadNative } from '../native/native.js';
import type { ServiceOptions } from './options.js';
import { DeviceService } from './service.js';
import { settingsOf } from './settings.js';

const WRITE = { command: 3, type: 1 };
const PANIC = new TextEncoder().encode('Panic#1 Part1\n<0>[    1.000000] Kernel panic - not syncing: test\n');

interface Line {
  readonly event: string;
  readonly level: string;
  readonly guest?: string;
  readonly [key: string]: unknown;
}

/** A service, and what it is told with each reload. */
async function setup(t: TestContext, options: ServiceOptions, environment: Record<string, string> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'exhume-service-'));
  t.after(async () => {
    await service?.stop();
    rmSync(dir, { recursive: true });
  });
  let service: DeviceService | undefined;
  const lines: Line[] = [];
  const state = { options: { dir: join(dir, 'records'), socket: [`${dir}/`], ...options } as ServiceOptions };
  const load = async () => settingsOf({}, state.options);
  const write = (line: string) => lines.push(JSON.parse(line));
  service = await DeviceService.start({ load, write, environment });
  const until = async (event: string, count = 1): Promise<Line> => {
    for (;;) {
      const [line] = lines.filter((one) => one.event === event).slice(count - 1);
      if (line) return line;
      await pass(10);
    }
  };
  const told = (...events: string[]) => lines.filter(({ event }) => events.includes(event)).map(({ guest }) => guest);
  return { dir, service, state, lines, until, told, socket: (guest: string) => join(dir, `${guest}.sock`) };
}

test('guests come and go with a reload; a machine that is there keeps its device', async (t) => {
  const { service, state, socket, told, lines } = await setup(t, { guest: ['a', 'b'], socketMode: 0o660 });
  assert.deepEqual(told('listening').sort(), ['a', 'b']);
  assert.equal(statSync(socket('a')).mode & 0o777, 0o660);
  const { driver } = await startMachine(t, socket('a'));
  state.options = { ...state.options, guest: ['b', 'c'], socketMode: 0o600, guestQuota: 1 };
  await service.reload();
  assert.ok(!existsSync(socket('a')) && existsSync(socket('c')));
  assert.equal(statSync(socket('b')).mode & 0o777, 0o600);
  assert.deepEqual(told('retired').sort(), ['a', 'b']);
  assert.equal(await driver.simple({ command: 1 }), 0);
  assert.equal(await driver.write(WRITE, PANIC), -28, 'the quota is that of the reload');
  state.options = { ...state.options, guest: ['../c'] };
  await service.reload();
  assert.match(String(lines.at(-1)?.['error']), /cannot be a guest's name/);
  state.options = { ...state.options, guest: ['c'], dir: '/elsewhere' };
  await service.reload();
  assert.match(String(lines.at(-1)?.['error']), /cannot change/);
  assert.ok(existsSync(socket('b')), 'all is as it was');
});

test('a directory that is made becomes a guest, and needs nothing else', async (t) => {
  const { dir, until, socket } = await setup(t, { discover: true, logLevel: 'debug' });
  mkdirSync(join(dir, 'records/new'));
  assert.equal((await until('listening')).guest, 'new');
  const { driver } = await startMachine(t, socket('new'));
  assert.equal(await driver.write(WRITE, PANIC), 0);
  await until('described');
  assert.ok(existsSync(join(dir, 'records/new/dmesg-1.json')));
});

test('a socket that cannot be had ends the beginning, and is told of by a reload', async (t) => {
  const { dir, service, state, until } = await setup(t, { guest: ['a'] });
  writeFileSync(join(dir, 'b.sock'), '');
  state.options = { ...state.options, guest: ['a', 'b'] };
  await service.reload();
  assert.match(String((await until('not-served'))['error']), /something is there already/);
  rmSync(join(dir, 'b.sock'));
  await service.reload();
  await until('listening', 2);
  await service.stop();
  writeFileSync(join(dir, 'b.sock'), '');
  const again = DeviceService.start({
    load: async () => settingsOf({}, state.options),
    write: () => {},
    environment: {},
  });
  await assert.rejects(again, (error) => isExhumeError(error, 'EXH_IO'));
  assert.ok(!existsSync(join(dir, 'a.sock')) && !existsSync(join(dir, 'records/.lock')));
});

test('a second service on the same directory is refused, and the first one goes on', async (t) => {
  const { state, socket } = await setup(t, { guest: ['a'] });
  const second = DeviceService.start({
    load: async () => settingsOf({}, state.options),
    write: () => {},
    environment: {},
  });
  await assert.rejects(second, /in use by another/);
  const { driver } = await startMachine(t, socket('a'));
  assert.equal(await driver.write(WRITE, PANIC), 0);
});

function page(address: unknown, path: string, method = 'GET'): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    get(`http://${address}${path}`, { method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => {
        text += more;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    }).on('error', reject);
  });
}

test('metrics say what happened; no other page is there', async (t) => {
  const metrics = { host: '127.0.0.1', port: 0 };
  const { socket, until } = await setup(t, { guest: ['a', 'b'], metrics, guestQuota: 10_000 });
  const { address } = await until('metrics');
  const { driver } = await startMachine(t, socket('a'));
  assert.equal(await driver.write(WRITE, PANIC), 0);
  assert.equal(await driver.write(WRITE, PANIC), 0);
  assert.equal(await driver.write(WRITE, PANIC), -28);
  const { text } = await page(address, '/metrics');
  const bytes = PANIC.length;
  for (const line of [
    'connected{guest="a"} 1',
    'connected{guest="b"} 0',
    'records_total{guest="a"} 2',
    `record_bytes_total{guest="a"} ${2 * bytes}`,
    'refused_total{guest="a",why="quota"} 1',
    `stored_bytes{guest="a"} ${2 * (bytes + 4096)}`,
    'stored_records{guest="a"} 2',
    'quota_bytes{guest="a"} 10000',
    'waiting_requests 0',
    'writes_total 3',
    'hooks_total{result="ok"} 0',
  ]) {
    assert.ok(text.includes(`\nexhume_device_${line}\n`), `${line} in\n${text}`);
  }
  for (const line of text.trim().split('\n')) {
    assert.match(
      line,
      /^(# HELP exhume_device_\w+ \S.*|# TYPE exhume_device_\w+ (counter|gauge)|exhume_device_\w+(\{\w+="\w*"(,\w+="\w*")*\})? [\d.e+-]+)$/,
    );
  }
  assert.equal((await page(address, '/secrets')).status, 404);
  assert.equal((await page(address, '/metrics', 'POST')).status, 405);
});

/** A program that writes what it is given to a file. */
function tellingHook(dir: string): { path: string; told: () => string[] } {
  const path = join(dir, 'hook');
  const out = join(dir, 'told');
  writeFileSync(
    path,
    `#!/bin/sh\necho "$@ $EXHUME_GUEST $EXHUME_REASON#$EXHUME_COUNT/$EXHUME_PART $EXHUME_RECORD $EXHUME_TEXT_SIZE" >> ${out}\n`,
  );
  chmodSync(path, 0o755);
  return { path, told: () => (existsSync(out) ? readFileSync(out, 'utf8').trim().split('\n') : []) };
}

test('a command runs for each record, and gets its description', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'exhume-hook-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const hook = tellingHook(dir);
  const { service, state, socket, until, dir: own } = await setup(t, { guest: ['a'], onRecord: [hook.path, 'first'] });
  const { driver } = await startMachine(t, socket('a'));
  assert.equal(await driver.write(WRITE, PANIC), 0);
  while (hook.told().length < 1) await pass(10);
  const at = join(own, 'records/a/dmesg-1');
  assert.deepEqual(hook.told(), [`first ${at}.json a Panic#1/1 ${at} ${PANIC.length}`]);
  state.options = { ...state.options, onRecord: [join(dir, 'none')] };
  await service.reload();
  assert.equal(await driver.write(WRITE, PANIC), 0);
  assert.match(String((await until('hook-failed'))['error']), /ENOENT/);
});

test('when the disk fails the machine is stopped, and the record is tried again when it goes on', async (t) => {
  const qmp = mkdtempSync(join(tmpdir(), 'exhume-qmp-'));
  t.after(() => rmSync(qmp, { recursive: true }));
  const monitor = await QmpMonitor.listen(t, join(qmp, 'a.qmp'));
  const { dir, socket, until, lines } = await setup(t, { guest: ['a'], onDiskError: 'pause', qmp });
  const records = join(dir, 'records');
  const { driver } = await startMachine(t, socket('a'));
  renameSync(join(records, 'a'), join(records, '.away'));
  const write = driver.write(WRITE, PANIC);
  assert.match(String((await until('paused'))['error']), /dmesg-1: cannot create: ENOENT/);
  assert.equal(monitor.running, false);
  assert.equal(await driver.virtio.status(), 15);
  monitor.goOn();
  await until('paused', 2);
  renameSync(join(records, '.away'), join(records, 'a'));
  monitor.goOn();
  assert.equal(await write, 0);
  assert.deepEqual(
    lines.slice(3).map(({ event }) => event),
    ['paused', 'resumed', 'paused', 'resumed', 'kept'],
  );

  renameSync(join(records, 'a'), join(records, '.away'));
  const last = driver.write(WRITE, PANIC);
  await until('paused', 3);
  monitor.end();
  assert.equal(await last, -5, 'its monitor has gone');
  monitor.refuses = true;
  assert.equal(await driver.write(WRITE, PANIC), -5);
  assert.match(
    String((await until('pause-failed'))['error']),
    /a\.qmp: the machine cannot be stopped: stop: .*not now/,
  );
  rmSync(join(qmp, 'a.qmp'));
  assert.equal(await driver.write(WRITE, PANIC), -5);
  assert.match(String((await until('pause-failed', 2))['error']), /ENOENT/);
});

test('a stop tells of machines that stand still: what they wait for is lost', async (t) => {
  const qmp = mkdtempSync(join(tmpdir(), 'exhume-qmp-'));
  t.after(() => rmSync(qmp, { recursive: true }));
  await QmpMonitor.listen(t, join(qmp, 'a.qmp'));
  const { dir, service, socket, until } = await setup(t, { guest: ['a'], onDiskError: 'pause', qmp });
  const { driver } = await startMachine(t, socket('a'));
  rmSync(join(dir, 'records/a'), { recursive: true });
  const write = driver.write(WRITE, PANIC);
  await until('paused');
  await Promise.all([assert.rejects(write, /closed the connection/), service.stop()]);
  const { level, paused } = await until('stopping');
  assert.deepEqual([level, paused], ['error', ['a']]);
});

test('systemd is told: ready, reloading, stopping', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'exhume-notify-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const received = await datagrams(t, join(dir, 'notify'));
  if (received === undefined) {
    t.skip('koffi is not installed');
    return;
  }
  const { service, state } = await setup(t, { guest: ['a'] }, { NOTIFY_SOCKET: join(dir, 'notify') });
  assert.equal(received(), 'READY=1\nSTATUS=serving 1 guests');
  assert.equal(received(), undefined, 'no watchdog is asked for');
  state.options = { ...state.options, guest: ['a', 'b'] };
  await service.reload();
  assert.match(received() ?? '', /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  assert.equal(received(), 'READY=1\nSTATUS=serving 2 guests');
  await service.stop();
  assert.equal(received(), 'STOPPING=1');
});

/** What comes to a socket for datagrams; undefined where there is no koffi. */
async function datagrams(t: TestContext, path: string): Promise<(() => string | undefined) | undefined> {
  const native = await loadNative();
  if (native === undefined) return undefined;
  const library = (await import('koffi')).default.load(null);
  const descriptor = library.func('int socket(int, int, int)')(1, 2, 0);
  t.after(() => closeSync(descriptor));
  const address = unixAddress(path);
  assert.equal(library.func('int bind(int, void *, unsigned int)')(descriptor, address, address.length), 0);
  return () => {
    const bytes = native.libc.receive(descriptor, 4096)?.bytes;
    return bytes && new TextDecoder().decode(bytes);
  };
}
