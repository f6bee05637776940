import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { ExhumeError } from '../bytes/errors.js';
import { openSample } from '../testing/sample.js';
import { buildFiles } from './files.js';
import { buildIpcs } from './ipcs.js';
import { buildKmem } from './kmem.js';
import { buildMod } from './mod.js';
import { buildMount } from './mount.js';
import { buildNet } from './net.js';
import { SCHEMAS } from './schema/index.js';
import type { Subject } from './subject.js';
import { buildSwap } from './swap.js';
import { filesText } from './text/files.js';
import { ipcsText } from './text/ipcs.js';
import { kmemText } from './text/kmem.js';
import { modText } from './text/mod.js';
import { mountText } from './text/mount.js';
import { netText } from './text/net.js';
import { PLAIN } from './text/page.js';
import { swapText } from './text/swap.js';
import { vmText } from './text/vm.js';
import { buildVm } from './vm.js';

const sample: Subject = openSample();
const everything = { use: true, slabs: true, zones: true, free: true, statistics: true };

const outputs: [name: keyof typeof SCHEMAS, what: string, output: { complete: boolean; damage: unknown[] }][] = [
  ['mod', 'all', buildMod(sample)],
  ['mount', 'all', buildMount(sample)],
  ['files', 'all', buildFiles(sample)],
  ['kmem', 'everything', buildKmem(sample, everything)],
  ['kmem', 'by default', buildKmem(sample)],
  ['net', 'interfaces', buildNet(sample)],
  ['net', 'sockets', buildNet(sample, { sockets: true, selectors: ['1'] })],
  ['vm', 'all', buildVm(sample)],
  ['vm', 'a kernel thread', buildVm(sample, ['2'])],
  ['swap', 'all', buildSwap(sample)],
  ['ipcs', 'all', buildIpcs(sample)],
];

for (const [name, what, output] of outputs) {
  test(`${name}: ${what}: is whole, and what its schema says`, () => {
    const validator = Compile(JSON.parse(JSON.stringify(SCHEMAS[name])));
    const json = JSON.parse(JSON.stringify(output));
    const [valid, errors] = validator.Errors(json);
    assert.ok(valid, JSON.stringify(errors, null, 2));
    assert.deepEqual(json, output, 'JSON loses something of the model');
    assert.deepEqual(output.damage, []);
    assert.equal(output.complete, true);
  });
}

test('mod has the columns of crash and more, and -v all there is', () => {
  const [head = '', first = ''] = modText(buildMod(sample), 'table', PLAIN);
  assert.match(head, /^ {5}MODULE {7}NAME +BASE +SIZE +STATE +REFS +TAINTS +USED BY$/);
  assert.match(first, /^ffffffff[0-9a-f]{8} {2}virtio_blk +ffffffff[0-9a-f]{8} {2}36864 {2}live +0 {2}- +-$/);
  const full = [...modText(buildMod(sample, { names: ['virtio-blk'] }), 'full', PLAIN)].join('\n');
  assert.match(full, /^virtio_blk\n(?:.*\n)*.*build id +[0-9a-f]{40}/);
  assert.deepEqual([...modText(buildMod(sample, { tainted: true }), 'taints', PLAIN)], ['no tainted modules']);
  const missing = buildMod(sample, { names: ['nosuch'] });
  assert.equal(missing.complete, false);
  assert.deepEqual([...modText(missing, 'table', PLAIN)], ['no module is nosuch']);
});

test('mount -p is the /proc/mounts of the guest, less what its file systems print themselves', () => {
  assert.deepEqual(
    [...mountText(buildMount(sample), 'proc', false)],
    [
      'rootfs / rootfs rw 0 0',
      'proc /proc proc rw,relatime 0 0',
      'sysfs /sys sysfs rw,relatime 0 0',
      'devtmpfs /dev devtmpfs rw,relatime 0 0',
    ],
  );
  const model = buildMount(sample, { only: ['/proc'], task: '1' });
  assert.deepEqual(
    [...mountText(model, 'table', true)].map((line) => line.replace(/[0-9a-f]{16}/g, 'ADDRESS')),
    [
      'PID: 1        TASK: ADDRESS  CPU: 0    COMMAND: "init"',
      '     MOUNT            SUPERBLK      TYPE  DEVNAME  DIRNAME',
      'ADDRESS  ADDRESS  proc  proc     /proc',
    ].map((line) => line.replace('CPU: 0', `CPU: ${model.task?.cpu}`)),
  );
  assert.throws(
    () => buildMount(sample, { task: 'nosuch' }),
    (error) => error instanceof ExhumeError && error.code === 'EXH_USAGE',
  );
  const [entry] = model.mounts;
  assert.ok(entry);
  const odd = { ...model, mounts: [{ ...entry, device: 'a b\\c', seenAt: '/x\ny#' }] };
  assert.deepEqual([...mountText(odd, 'proc', false)], ['a\\040b\\134c /x\\012y\\043 proc rw,relatime 0 0']);
});

test('files finds by path, descriptor and address', () => {
  const all = buildFiles(sample, { selectors: ['1'] });
  const lines = [...filesText(all, 'files')];
  assert.match(lines[0] ?? '', /^PID: 1 .* COMMAND: "init"$/);
  assert.equal(lines[1], 'ROOT: /    CWD: /');
  assert.match(lines[4] ?? '', /^ 1 {2}[0-9a-f]{16} {2}[0-9a-f]{16} {2}[0-9a-f]{16} {2}REG {3}\/proc\/sysrq-trigger$/);
  assert.match([...filesText(all, 'pages')][6] ?? '', /^10 {2}[0-9a-f]{16} {2}[0-9a-f]{16} +\d+ {2}REG {3}\/init$/);
  const named = buildFiles(sample, { reference: 'sysrq' });
  assert.deepEqual(
    named.tasks.map(({ task, files }) => [task.pid, files.map(({ fd }) => fd)]),
    [[1, [1]]],
  );
  const inode = named.tasks[0]?.files[0]?.inode ?? '';
  assert.deepEqual(buildFiles(sample, { reference: inode }).tasks, named.tasks);
  assert.equal(buildFiles(sample, { selectors: ['1'], reference: '11' }).tasks[0]?.files.length, 1);
  assert.deepEqual([...filesText(buildFiles(sample, { selectors: ['nosuch'] }), 'files')], ['no task is nosuch']);
  assert.deepEqual([...filesText(buildFiles(sample, { selectors: ['2'] }), 'files')].slice(2), ['No open files']);
});

test('kmem -i is laid out as crash does', () => {
  const model = buildKmem(sample);
  const memory = model.memory;
  assert.ok(memory);
  const lines = [
    ...kmemText(
      {
        ...model,
        memory: {
          ...memory,
          total: 55844,
          free: 49011,
          buffers: 0,
          cached: 489,
          slab: 64,
          swapTotal: 4096,
          swapFree: 1024,
          commitLimit: null,
        },
      },
      'table',
    ),
  ];
  assert.deepEqual(lines.slice(0, 7), [
    '                 PAGES        TOTAL      PERCENTAGE',
    '    TOTAL MEM    55844     218.1 MB         ----',
    '         FREE    49011     191.4 MB   87% of TOTAL MEM',
    '         USED     6833      26.7 MB   12% of TOTAL MEM',
    '      BUFFERS        0            0    0% of TOTAL MEM',
    '       CACHED      489       1.9 MB    0% of TOTAL MEM',
    '         SLAB       64       256 KB    0% of TOTAL MEM',
  ]);
  assert.equal(lines[11], '   TOTAL SWAP     4096        16 MB         ----');
  assert.equal(lines[12], '    SWAP USED     3072        12 MB   75% of TOTAL SWAP');
  assert.equal(lines[15], ' COMMIT LIMIT        ?            ?         ----');
});

test('kmem prints all of its parts, and says which cache there is not', () => {
  const text = [...kmemText(buildKmem(sample, { ...everything, caches: ['dentry', 'nosuch'] }), 'meminfo')].join('\n');
  assert.match(text, /^MemTotal: +52732 kB\n/);
  assert.match(text, /\nCACHE +OBJSIZE +ALLOCATED +TOTAL +SLABS +SSIZE +NAME\n[0-9a-f]{16} .* 4k {2}dentry\n\n/);
  assert.match(text, /\n {2}VM_ZONE_STAT:\n +NR_FREE_PAGES: \d+\n/);
  assert.match(text, /\nNODE: 0 {2}ZONE: 1 {2}ADDR: [0-9a-f]{16} {2}NAME: "DMA32"\n {2}SIZE: \d+/);
  assert.match(text, /\n {2}\[unpopulated\]\n/);
  assert.match(text, /\n10 +4096k {2}Movable +[0-9a-f]{16} +\d+ +\d+\n/);
  assert.match(text, /\nno slab cache is nosuch$/);
});

test('net, vm, swap and ipcs read as in crash', () => {
  assert.match([...netText(buildNet(sample))][1] ?? '', /^[0-9a-f]{16} {2}lo +DOWN\/unknown {2}00:00:00:00:00:00/);
  assert.deepEqual([...netText(buildNet(sample, { sockets: true }))], ['No open sockets.']);
  const vm = buildVm(sample, ['1']);
  const table = [...vmText(vm, 'table')];
  assert.match(table[2] ?? '', /^[0-9a-f]{16} {2}[0-9a-f]{16} {2}\d+k {2}\d+k$/);
  assert.match(table[4] ?? '', /^[0-9a-f]{16} +400000 +401000 +8000071 {2}\/bin\/busybox$/);
  assert.match([...vmText(vm, 'maps')][1] ?? '', /^00400000-00401000 r--p 00000000 00:03 \d+ +\/bin\/busybox$/);
  assert.equal([...vmText(vm, 'summary')].length, 3);
  assert.deepEqual([...swapText(buildSwap(sample))].slice(1), ['(none in use)']);
  assert.deepEqual(
    [...ipcsText(buildIpcs(sample, { semaphores: true }), false)],
    ['SEM_ARRAY  KEY  SEMID  UID  PERMS  NSEMS', '(none allocated)'],
  );
  const ipcs = { ...buildIpcs(sample, { sharedMemory: true }) };
  const common = { address: '0xffff8880000000c0', key: '0x1234', id: 1, uid: 0, permissions: '600' };
  const pages = { total: 22, resident: 2, swapped: 1 };
  ipcs.sharedMemory = [{ ...common, size: 90000, attached: 3, status: ['dest'], inode: '0xffff888000000100', pages }];
  assert.deepEqual([...ipcsText(ipcs, true)].slice(1), [
    'ffff8880000000c0  00001234  1      0    600    90000  3       dest',
    '',
    'SHMID: 1',
    'PAGES ALLOCATED/RESIDENT/SWAPPED: 22/2/1',
    'INODE: ffff888000000100',
  ]);
});
