import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FilesReport } from '../../src/report/schema/files.js';
import type { IpcsReport } from '../../src/report/schema/ipcs.js';
import type { KmemReport } from '../../src/report/schema/kmem.js';
import type { ModReport } from '../../src/report/schema/mod.js';
import type { MountsReport } from '../../src/report/schema/mount.js';
import type { NetReport } from '../../src/report/schema/net.js';
import type { SwapReport } from '../../src/report/schema/swap.js';
import type { VmReport } from '../../src/report/schema/vm.js';
import { headed, lines, TELLERS, talkative } from './deaths.js';
import { account, exhumeJson, type LabDump } from './support.js';

const columns = (line: string): string[] => line.trim().split(/\s+/);
const octal = (text: string): string =>
  text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Init goes on after it told all this, and the tellers end. */
const stays = (task: { readonly pid: number; readonly comm: string }): boolean =>
  task.pid !== 1 && !TELLERS.has(task.comm);

/** Whose memory was eaten after the guest told how much it has, or given back after thousands of tasks were told. */
const ate = ({ title }: LabDump): boolean => title.startsWith('oom') || title.startsWith('threads');

const busy = talkative().filter(({ title }) => title.startsWith('busy-'));

for (const dump of talkative()) {
  test(`${dump.title}: modules are those of /proc/modules`, () => {
    const { answer } = exhumeJson<ModReport>(dump, 'mod');
    const expected = lines(account(dump, 'last-modules')).map((line) => {
      const [name, size, , users = '', state, base, taints = ''] = columns(line);
      return [name, Number(size), users === '-' ? '' : users, state, BigInt(base ?? ''), taints.replace(/[()]/g, '')];
    });
    assert.ok(expected.length >= 3);
    assert.deepEqual(
      answer.modules.map(({ name, size, usedBy, state, base, taints }) => [
        name,
        size,
        usedBy.map((user) => `${user},`).join(''),
        `${state?.[0]?.toUpperCase()}${state?.slice(1)}`,
        BigInt(base),
        taints,
      ]),
      expected,
    );
  });

  test(`${dump.title}: mounts are those of /proc/mounts and mountinfo`, () => {
    const { answer } = exhumeJson<MountsReport>(dump, 'mount');
    const visible = answer.mounts.filter(({ seenAt }) => seenAt !== null);
    assert.deepEqual(
      visible.map(({ device, seenAt, type }) => [device, seenAt, type]),
      lines(account(dump, 'mounts')).map((line) => columns(line).slice(0, 3).map(octal)),
    );
    const info = lines(headed(account(dump, 'mountinfo')).get('/proc/1/mountinfo') ?? '');
    assert.deepEqual(
      visible.map(({ id, parentId, deviceNumber, root, seenAt }) => [id, parentId, deviceNumber, root, seenAt]),
      info.map((line) => {
        const [id, parent, device, root = '', directory = ''] = line.split(' ');
        return [Number(id), Number(parent), device, octal(root), octal(directory)];
      }),
    );
  });

  test(`${dump.title}: open files are the links of /proc/PID/fd`, () => {
    const { answer } = exhumeJson<FilesReport>(dump, 'files');
    const told = new Map<number, Map<number, string>>();
    for (const part of account(dump, 'fd').split(/^\/proc\//m)) {
      const links = [...part.matchAll(/^[l-]\S{9} .* (\d+) -> (.*)$/gm)];
      told.set(
        Number.parseInt(part, 10),
        new Map(links.map(([, fd, path]): [number, string] => [Number(fd), path ?? ''])),
      );
    }
    const positions = headed(account(dump, 'fdinfo'));
    let compared = 0;
    for (const { task, files } of answer.tasks.filter((entry) => stays(entry.task))) {
      const expected = told.get(task.pid);
      // Started after the last look: the one that died.
      if (expected === undefined) continue;
      assert.deepEqual(
        new Map(files.map(({ fd, path }) => [fd, path])),
        // Files without a name in the file system have another form in some kernels' links.
        expected,
        `${task.pid} (${task.comm})`,
      );
      for (const { fd, position, flags, closeOnExec, path } of files) {
        const info = positions.get(`/proc/${task.pid}/fdinfo/${fd}`);
        // The console is shared with who writes to it at the end.
        if (info === undefined || path === '/dev/console') continue;
        const [, pos, flagged] = /^pos:\s+(\d+)\nflags:\s+(\d+)/.exec(info) ?? [];
        assert.equal(position, pos, `${task.pid} ${fd}`);
        const CLOSE_ON_EXEC = 0o2000000;
        assert.equal(
          Number(flags) | (closeOnExec ? CLOSE_ON_EXEC : 0),
          Number.parseInt(flagged ?? '', 8),
          `${task.pid} ${fd}`,
        );
      }
      compared += files.length;
    }
    assert.ok(compared >= 6, `${compared} files compared`);
  });

  test(`${dump.title}: memory areas are those of /proc/PID/maps`, () => {
    const { answer } = exhumeJson<VmReport>(dump, 'vm');
    const told = headed(account(dump, 'maps'));
    let compared = 0;
    for (const { task, areas } of answer.tasks.filter((entry) => stays(entry.task))) {
      const expected = told.get(`/proc/${task.pid}/maps`);
      if (expected === undefined || areas.length === 0) continue;
      const hex = (address: string): string => BigInt(address).toString(16).padStart(8, '0');
      assert.deepEqual(
        areas.map(({ start, end, permissions, offset, inode, file, name }) =>
          [`${hex(start)}-${hex(end)}`, permissions, hex(offset), inode, file ?? name ?? ''].join(' '),
        ),
        lines(expected)
          .filter((line) => !line.includes('[vsyscall]'))
          .map((line) => {
            const [range, permissions, offset, , inode, ...path] = line.trim().split(/ +/);
            return [range, permissions, offset, inode, path.join(' ')].join(' ');
          }),
        `${task.pid} (${task.comm})`,
      );
      compared += areas.length;
    }
    assert.ok(compared >= 15, `${compared} areas compared`);
  });

  test(`${dump.title}: memory in use is that of /proc/meminfo`, { skip: ate(dump) }, () => {
    const { memory } = exhumeJson<KmemReport>(dump, 'kmem', '-i').answer;
    const told = new Map(
      lines(account(dump, 'last-meminfo')).map((line): [string, number] => {
        const [name = '', value] = columns(line);
        return [name.replace(':', ''), Number(value)];
      }),
    );
    let compared = 0;
    for (const { name, kilobytes } of memory?.meminfo ?? []) {
      const expected = told.get(name);
      if (expected === undefined || kilobytes === null) continue;
      // What the tellers and the dying process took and gave back.
      const fixed = /Total$|^CommitLimit$|^HugePages/.test(name);
      assert.ok(Math.abs(kilobytes - expected) <= (fixed ? 0 : 4096), `${name}: ${kilobytes}, told ${expected}`);
      compared++;
    }
    assert.ok(compared >= 25, `${compared} figures compared`);
  });

  test(`${dump.title}: slab caches are those of /proc/slabinfo`, { skip: ate(dump) }, () => {
    const { slabs } = exhumeJson<KmemReport>(dump, 'kmem', '-s').answer;
    const found = new Map((slabs ?? []).map((cache) => [cache.name, cache]));
    const told = lines(account(dump, 'slabinfo')).slice(2).map(columns);
    assert.ok(told.length > 100);
    for (const [name = '', , total, size, objects] of told) {
      const cache = found.get(name);
      assert.ok(cache, name);
      assert.equal(cache.size, Number(size), `size of ${name}`);
      assert.equal(cache.objectsPerSlab, Number(objects), `objects per slab of ${name}`);
      const slack = 16 * Number(objects) + Number(total) / 5;
      assert.ok(Math.abs((cache.total ?? 0) - Number(total)) <= slack, `${name}: ${cache.total}, told ${total}`);
    }
    assert.equal(found.size, told.length);
  });
}

const STATES = ['', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT1', 'FIN_WAIT2', 'TIME_WAIT', 'CLOSE'].concat([
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
]);

/** `0100007F:1B59` of /proc/net/tcp: words in the machine's byte order. */
function endpoint(text: string): string {
  const [address = '', port = ''] = text.split(':');
  const bytes = [...address.matchAll(/.{8}/g)].flatMap(([word]) => [...Buffer.from(word, 'hex')].reverse());
  const number = Number.parseInt(port, 16);
  if (bytes.length === 4) return `${bytes.join('.')}:${number}`;
  const groups = bytes.flatMap((byte, index) =>
    index % 2 === 0 ? [((byte << 8) | (bytes[index + 1] ?? 0)).toString(16)] : [],
  );
  // The URL parser shortens IPv6 addresses.
  return `${new URL(`http://[${groups.join(':')}]`).hostname}:${number}`;
}

for (const dump of busy) {
  test(`${dump.title}: sockets are those of /proc/net`, () => {
    const { sockets } = exhumeJson<NetReport>(dump, 'net', '-s').answer;
    const found = new Map((sockets ?? []).flatMap((task) => task.sockets).map((socket) => [socket.inode, socket]));
    let compared = 0;
    for (const table of ['tcp', 'tcp6', 'udp', 'udp6', 'raw']) {
      for (const line of lines(account(dump, `net-${table}`)).slice(1)) {
        const [, local = '', remote = '', state = '', , , , , , inode = '', , address] = columns(line);
        const socket = found.get(inode);
        assert.ok(socket, `${table} ${line}`);
        assert.equal(socket.local, endpoint(local));
        assert.equal(socket.remote, endpoint(remote));
        assert.equal(socket.state, STATES[Number.parseInt(state, 16)]);
        assert.equal(socket.sock, `0x${address}`);
        compared++;
      }
    }
    assert.equal(compared, 13);
    for (const line of lines(account(dump, 'net-unix')).slice(1)) {
      const [address = '', , , , , , inode = '', path] = columns(line);
      const socket = found.get(inode);
      assert.ok(socket, line);
      assert.equal(socket.sock, `0x${address.replace(':', '')}`);
      assert.equal(socket.local, path ?? null);
    }
  });

  test(`${dump.title}: interfaces have the addresses of ip addr`, () => {
    const { devices } = exhumeJson<NetReport>(dump, 'net').answer;
    const expected = account(dump, 'ip-addr')
      .split(/^(?=\d+: )/m)
      .map((block) => [
        /^\d+: (\w+):/.exec(block)?.[1],
        Number(/ mtu (\d+)/.exec(block)?.[1]),
        / link\/\w+ (\S+)/.exec(block)?.[1],
        [...block.matchAll(/ inet6? (\S+)/g)].map(([, address]) => address),
      ]);
    assert.deepEqual(
      devices?.map(({ name, mtu, hardwareAddress, addresses }) => [
        name,
        mtu,
        hardwareAddress,
        addresses.map(({ address, prefix }) => `${address}/${prefix}`),
      ]),
      expected,
    );
  });

  test(`${dump.title}: swap and System V IPC are those of /proc`, () => {
    const { areas } = exhumeJson<SwapReport>(dump, 'swap').answer;
    assert.deepEqual(
      areas.map(({ path, type, size, priority }) => [path, type.toLowerCase(), `${size / 1024}`, `${priority}`]),
      lines(account(dump, 'swaps'))
        .slice(1)
        .map(columns)
        .map(([path, type, size, , priority]) => [path, type, size, priority]),
    );
    assert.ok((areas[0]?.used ?? 0) >= 8 << 20, 'half of 16 MiB was paged out');

    const { sharedMemory, semaphores, messageQueues } = exhumeJson<IpcsReport>(dump, 'ipcs').answer;
    const rows = (name: string): string[][] => lines(account(dump, name)).slice(1).map(columns);
    const start = (entry: { key: string; id: number; permissions: string }): string[] => [
      `${Number(entry.key)}`,
      `${entry.id}`,
      entry.permissions,
    ];
    assert.deepEqual(
      sharedMemory?.map((entry) => [...start(entry), `${entry.size}`, `${entry.attached}`]),
      rows('sysvipc-shm').map(([key, id, mode, size, , , attached]) => [key, id, mode, size, attached]),
    );
    assert.deepEqual(
      semaphores?.map((entry) => [...start(entry), `${entry.semaphores}`]),
      rows('sysvipc-sem').map((row) => row.slice(0, 4)),
    );
    assert.deepEqual(
      messageQueues?.map((entry) => [...start(entry), `${entry.usedBytes}`, `${entry.messages}`]),
      rows('sysvipc-msg').map((row) => row.slice(0, 5)),
    );
  });
}

test('the busy scenes are there', () => assert.equal(busy.length, 2));
