import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { ipv6Text } from './addresses.js';
import { readNetworkDevices } from './devices.js';

const sample = new KernelView(openSample().kernel);

test('IPv6 addresses are shortened as RFC 5952 has it', () => {
  const text = (...groups: number[]): string =>
    ipv6Text(Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));
  assert.equal(text(0, 0, 0, 0, 0, 0, 0, 0), '::');
  assert.equal(text(0, 0, 0, 0, 0, 0, 0, 1), '::1');
  assert.equal(text(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456), 'fe80::5054:ff:fe12:3456');
  assert.equal(text(0x2001, 0xdb8, 0, 1, 1, 1, 1, 1), '2001:db8:0:1:1:1:1:1');
  assert.equal(text(0x2001, 0, 0, 1, 0, 0, 0, 1), '2001:0:0:1::1');
  assert.equal(text(1, 2, 3, 4, 5, 6, 0, 0), '1:2:3:4:5:6::');
  assert.equal(text(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x020f), '::ffff:10.0.2.15');
});

test('the loopback interface is there, and down', () => {
  const damage: Damage[] = [];
  const devices = readNetworkDevices(sample, sample.variable('init_net', 'net'), damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    devices.map(({ address: _, ...device }) => device),
    [
      {
        name: 'lo',
        index: 1,
        flags: ['LOOPBACK'],
        state: 'unknown',
        mtu: 65536,
        hardwareAddress: '00:00:00:00:00:00',
        addresses: [],
      },
    ],
  );
});

test('a list of interfaces that goes round in a circle ends, and says so', () => {
  const { view, write } = damagedView();
  const [loopback] = readNetworkDevices(view, view.variable('init_net', 'net'), []);
  assert.ok(loopback);
  const link = view.struct('net_device', loopback.address).addressOf('dev_list');
  write(link, link);
  const damage: Damage[] = [];
  assert.ok(readNetworkDevices(view, view.variable('init_net', 'net'), damage).length < 5);
  assert.equal(damage[0]?.code, 'EXH_BAD_STRUCTURE');
});
