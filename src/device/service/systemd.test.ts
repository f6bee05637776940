import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { SystemdNotifier } from './systemd.js';

const SOCKET = { NOTIFY_SOCKET: '/run/systemd/notify' };

test('without koffi systemd-notify tells it, one after the other', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'exhume-notify-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const out = join(dir, 'told');
  writeFileSync(join(dir, 'systemd-notify'), `#!/bin/sh\necho "$NOTIFY_SOCKET" "$@" >> ${out}\n`);
  chmodSync(join(dir, 'systemd-notify'), 0o755);
  const failures: string[] = [];
  const PATH = `${dir}${delimiter}${process.env['PATH']}`;
  const notifier = new SystemdNotifier({ ...SOCKET, PATH }, (error) => failures.push(error), undefined);
  await notifier.ready(3);
  await Promise.all([notifier.reloading(), notifier.ready(4)]);
  await notifier.stopping();
  const told = readFileSync(out, 'utf8').trim().split('\n');
  assert.deepEqual(
    told.map((line) => line.replace(/\d+$/, '…')),
    [
      'READY=1 STATUS=serving 3 guests',
      'RELOADING=1 MONOTONIC_USEC=…',
      'READY=1 STATUS=serving 4 guests',
      'STOPPING=…',
    ].map((line) => `${SOCKET.NOTIFY_SOCKET} ${line}`),
  );
  assert.deepEqual(failures, []);
});

test('where nothing can tell it, that is said once', async () => {
  const failures: string[] = [];
  const notifier = new SystemdNotifier({ ...SOCKET, PATH: '/nowhere' }, (error) => failures.push(error), undefined);
  await notifier.ready(1);
  await notifier.reloading();
  await notifier.stopping();
  assert.deepEqual(failures, ['systemd-notify: spawn systemd-notify ENOENT']);
  await new SystemdNotifier({}, (error) => failures.push(error), undefined).ready(1);
  assert.equal(failures.length, 1);
});

test('a watchdog hears of the service as long as it runs, and only where it asked for this process', async () => {
  const told: string[] = [];
  const sender = { sendTo: (_: string, bytes: Uint8Array) => told.push(new TextDecoder().decode(bytes)) };
  const notifier = (environment: Record<string, string>) => {
    return new SystemdNotifier({ ...SOCKET, ...environment }, () => assert.fail(), sender);
  };
  const other = notifier({ WATCHDOG_USEC: '3000', WATCHDOG_PID: '1' });
  const own = notifier({ WATCHDOG_USEC: '30000', WATCHDOG_PID: String(process.pid) });
  await other.ready(1);
  await own.ready(1);
  while (told.filter((text) => text === 'WATCHDOG=1').length < 3) await pass(5);
  await other.stopping();
  await own.stopping();
  const count = told.length;
  await pass(50);
  assert.equal(told.length, count);
  assert.equal(told.at(-1), 'STOPPING=1');
});
