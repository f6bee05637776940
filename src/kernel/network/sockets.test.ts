import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Damage } from '../../bytes/errors.js';
import { damagedView } from '../../testing/damaged-view.js';
import { openFiles } from '../filesystems/files.js';
import { readTasks } from '../tasks/task-list.js';
import type { Struct } from '../types/struct.js';
import { type OpenSocket, openSockets } from './sockets.js';

const SOCK_MODE = 0o140777;

/** A copy of the sample in which descriptor 1 of the first process is a socket of a family. */
function withSocket(
  family: number,
  sockType: string,
  fill: (sock: Struct, copy: ReturnType<typeof damagedView>) => void,
) {
  const copy = damagedView();
  const { view, make, set } = copy;
  const init = readTasks(view).tasks.find(({ pid }) => pid === 1);
  assert.ok(init);
  const task = view.struct('task_struct', init.address);
  const file = openFiles(view, task, []).find(({ descriptor }) => descriptor === 1);
  assert.ok(file);
  const socket = make('socket_alloc');
  const sock = make(sockType);
  set(file.file, 'f_inode', socket.addressOf('vfs_inode'));
  set(socket, 'vfs_inode.i_mode', SOCK_MODE);
  set(socket, 'vfs_inode.i_ino', 4711);
  set(socket, 'socket.sk', sock.address);
  set(socket, 'socket.type', 1);
  const base = view.struct('sock', sock.address);
  set(base, '__sk_common.skc_family', family);
  set(base, '__sk_common.skc_state', 10);
  fill(sock, copy);
  const damage: Damage[] = [];
  const sockets = openSockets(view, task, damage);
  assert.deepEqual(damage, []);
  assert.equal(sockets.length, 1);
  return sockets[0] as OpenSocket;
}

/** Bytes of an address in network order, as the little-endian number that they are in memory. */
function network(...bytes: number[]): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

test('a TCP socket tells both its ends, ports in their two orders', () => {
  const socket = withSocket(2, 'tcp_sock', (sock, { view, set }) => {
    const base = view.struct('sock', sock.address);
    set(base, '__sk_common.skc_rcv_saddr', network(10, 0, 2, 15));
    set(base, '__sk_common.skc_daddr', network(192, 168, 1, 7));
    set(base, '__sk_common.skc_num', 22);
    set(base, '__sk_common.skc_dport', network(0x1f, 0x90));
  });
  assert.equal(`${socket.family}:${socket.type}`, 'INET:STREAM');
  assert.equal(socket.state, 'LISTEN');
  assert.equal(socket.inode, 4711n);
  assert.deepEqual([socket.local, socket.remote], ['10.0.2.15:22', '192.168.1.7:8080']);
});

test('an IPv6 socket has its addresses in brackets', () => {
  const socket = withSocket(10, 'tcp6_sock', (sock, { view, writeBytes, set }) => {
    const base = view.struct('sock', sock.address);
    const local = new Uint8Array(16);
    local[15] = 1;
    writeBytes(base.addressOf('__sk_common.skc_v6_rcv_saddr'), local);
    set(base, '__sk_common.skc_num', 8081);
  });
  assert.deepEqual([socket.family, socket.local, socket.remote], ['INET6', '[::1]:8081', '[::]:0']);
});

test('a UNIX socket has the name that it is bound to, abstract ones with @', () => {
  for (const [name, shown] of [
    ['/run/sock\0', '/run/sock'],
    ['\0hidden', '@hidden'],
  ] as const) {
    const socket = withSocket(1, 'unix_sock', (sock, { make, set, writeBytes }) => {
      const address = make('unix_address');
      make('unix_address');
      set(sock, 'addr', address.address);
      set(address, 'len', name.length + 2);
      writeBytes(address.addressOf('name'), Uint8Array.of(1, 0, ...Buffer.from(name)));
    });
    assert.deepEqual([socket.family, socket.local, socket.remote], ['UNIX', shown, undefined]);
  }
});

test('a family that has no name here is told by its number', () => {
  const socket = withSocket(77, 'sock', () => {});
  assert.deepEqual([socket.family, socket.local], ['77', undefined]);
});
