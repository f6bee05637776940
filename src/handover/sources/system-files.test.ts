import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ExhumeError } from '../../bytes/errors.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import { fileHandovers, liveHandovers } from '../open.js';
import { put, tree, u64 } from '../testing/build.js';
import { type SystemFiles, toldByFiles } from './system-files.js';

const FIXTURES = fileURLToPath(new URL('../../../../src/handover/fixtures/', import.meta.url));
const fixture = (name: string): Uint8Array => Uint8Array.from(readFileSync(`${FIXTURES}${name}`));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

type Files = Readonly<Record<string, Uint8Array | 'refused'>>;

/** A system of these files, by path. */
function system(files: Files, live = true, name = '/'): SystemFiles {
  const names = (folder: string): string[] => {
    const prefix = folder === '' ? '' : `${folder}/`;
    const below = Object.keys(files).filter((path) => path.startsWith(prefix));
    return [...new Set(below.map((path) => path.slice(prefix.length).split('/')[0] ?? ''))];
  };
  return {
    name,
    live,
    list: (folder) => (names(folder).length > 0 ? names(folder) : undefined),
    read: (path) => {
      const content = files[path];
      if (content === 'refused') throw new ExhumeError('EXH_IO', `${path}: cannot read: EACCES`);
      return content;
    },
  };
}

/** As Linux 7.2 has it after a kexec; the same tree stands in memory. */
const TREE = 0x3e5000;
const SCRATCH_LIST = 0x7000;
const SETUP_32: Files = {
  'sys/kernel/boot_params/setup_data/0/type': text('0x9\n'),
  'sys/kernel/boot_params/setup_data/0/data': text('a random seed'),
  'sys/kernel/boot_params/setup_data/1/type': text('0xa\n'),
  'sys/kernel/boot_params/setup_data/1/data': u64(TREE, 4096, SCRATCH_LIST, 48),
};
const DEBUGFS_IN: Files = {
  'sys/kernel/debug/kho/in/fdt': fixture('in-fdt.dtb'),
  'sys/kernel/debug/kho/in/sub_fdts/memblock': fixture('memblock.dtb'),
  'sys/kernel/debug/kho/in/sub_fdts/kexec-metadata': fixture('kexec-metadata.bin'),
  'sys/kernel/debug/kho/out/scratch_phys': text('0x1000000\n0x8000000\n0x0\n'),
  'sys/kernel/debug/kho/out/scratch_len': text('0x100000\n0x400000\n0x0\n'),
};

function memory(): SparseMemory {
  const made = new SparseMemory();
  put(made, TREE, fixture('in-fdt.dtb'));
  put(made, SCRATCH_LIST, u64(0x1000000, 0x100000, 0x8000000, 0x400000, 0, 0));
  return made;
}

const SCRATCH = [
  { address: 0x1000000, size: 0x100000 },
  { address: 0x8000000, size: 0x400000 },
];

test('debugfs and setup_data that name one tree are one handover, and are told to agree', () => {
  const { handovers, silent } = liveHandovers(toldByFiles(system({ ...SETUP_32, ...DEBUGFS_IN })), memory(), undefined);
  assert.equal(handovers.length, 1);
  const [handover] = handovers;
  assert.deepEqual([handover?.direction, handover?.address, handover?.scratch], ['incoming', TREE, SCRATCH]);
  assert.deepEqual(handover?.evidence.slice(0, 4), [
    '/sys/kernel/boot_params/setup_data/1: the tree is at 0x3e5000, list of scratch areas at 0x7000, 48 bytes',
    '/sys/kernel/debug/kho/in: a tree, 353 bytes of it, 2 descriptions',
    'the tree in the file is the one in memory',
    'these 2 agree',
  ]);
  assert.deepEqual(silent, []);
});

test('either of the two is enough; what is not there is told', () => {
  const noDebugfs = liveHandovers(toldByFiles(system(SETUP_32)), memory(), undefined);
  assert.deepEqual([noDebugfs.handovers[0]?.address, noDebugfs.handovers[0]?.scratch], [TREE, SCRATCH]);
  assert.deepEqual(noDebugfs.silent, [{ place: '/sys/kernel/debug', why: 'not there: debugfs is not mounted' }]);
  const noSetup = liveHandovers(toldByFiles(system(DEBUGFS_IN)), undefined, undefined);
  assert.deepEqual([noSetup.handovers[0]?.compatible, noSetup.handovers[0]?.scratch], ['kho-v4', SCRATCH]);
  assert.deepEqual(noSetup.silent, [
    { place: '/sys/kernel/boot_params/setup_data', why: 'not there: no kernel handed over to this one' },
  ]);
});

test('without memory the files alone tell, and that they were not compared', () => {
  const { handovers } = liveHandovers(toldByFiles(system({ ...SETUP_32, ...DEBUGFS_IN })), undefined, undefined);
  assert.deepEqual([handovers.length, handovers[0]?.address], [1, TREE]);
  assert.ok(
    handovers[0]?.evidence.some((one) => one.startsWith('whether it is the tree in the file was not compared')),
  );
  const alone = liveHandovers(toldByFiles(system(SETUP_32)), undefined, undefined);
  assert.deepEqual(alone.handovers, []);
  assert.deepEqual(alone.silent.at(-1), {
    place: '/sys/kernel/boot_params/setup_data/1',
    why: 'a tree at 0x3e5000, which memory does not have',
  });
});

test('a tree that debugfs cuts off is taken whole from memory', () => {
  const made = new SparseMemory();
  const whole = fixture('in-fdt.dtb');
  put(made, TREE, whole);
  const files = { 'sys/kernel/debug/kho/out/fdt': whole.subarray(0, 233) };
  const { handovers } = fileHandovers(toldByFiles(system(files, false, '/copy')), made, undefined);
  assert.deepEqual([handovers[0]?.tree.presentSize, handovers[0]?.address], [whole.length, TREE]);
  assert.ok(handovers[0]?.evidence.includes('the file has 233 bytes of the tree, memory all 353: taken from memory'));
});

test('places that name different trees do not agree, and both are shown', () => {
  const made = memory();
  put(made, TREE, tree('kho-v4', { 'preserved-memory-map': u64(0) }));
  const { handovers } = liveHandovers(toldByFiles(system({ ...SETUP_32, ...DEBUGFS_IN })), made, undefined);
  assert.equal(handovers.length, 2);
  for (const { evidence } of handovers) {
    assert.ok(
      evidence.some((one) => /^another tree is told by .*: they do not agree$/.test(one)),
      evidence.join('\n'),
    );
  }
});

test('what is refused is told, and the rest is read', () => {
  const files = { ...SETUP_32, ...DEBUGFS_IN, 'sys/kernel/debug/kho/in/sub_fdts/memblock': 'refused' } as const;
  const { handovers, silent } = liveHandovers(toldByFiles(system(files)), memory(), undefined);
  assert.equal(handovers.length, 1);
  assert.deepEqual(silent, [
    {
      place: '/sys/kernel/debug/kho/in/sub_fdts/memblock',
      why: 'sys/kernel/debug/kho/in/sub_fdts/memblock: cannot read: EACCES',
    },
  ]);
});

test('the series of 2023/24: both directions, and the longer setup_data with the scratch area itself', () => {
  const old = tree('kho-v1', {}, [
    { name: 'user', properties: [{ name: 'mem', value: u64(0x9000, 4096) }], children: [] },
  ]);
  const files = {
    'sys/kernel/boot_params/setup_data/0/type': text('0xa\n'),
    'sys/kernel/boot_params/setup_data/0/data': u64(TREE, old.length, 0x1000000, 0x100000, 0x2000, 16),
    'sys/firmware/kho/dt': old,
    'sys/kernel/kho/dt': old,
    'sys/kernel/kho/scratch_phys': text('0x1000000\n'),
    'sys/kernel/kho/scratch_len': text('0x100000\n'),
  };
  const made = new SparseMemory();
  put(made, TREE, old);
  const { handovers } = liveHandovers(toldByFiles(system(files)), made, undefined);
  assert.deepEqual(
    handovers.map(({ series, direction, address, scratch }) => [series, direction, address, scratch.length]),
    [
      ['2023', 'incoming', TREE, 1],
      ['2023', 'outgoing', undefined, 1],
    ],
  );
});

test('a device tree names it on arm64: cells as its root says', () => {
  const cells = (...values: number[]): Uint8Array =>
    Uint8Array.from(values.flatMap((value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]));
  for (const [fdt, scratch, form] of [
    ['linux,kho-fdt', cells(0, SCRATCH_LIST, 0, 48), 'array'],
    ['linux,kho-dt', cells(0, 0x1000000, 0, 0x100000), 'area'],
  ] as const) {
    const files = {
      'proc/device-tree/#address-cells': cells(2),
      'proc/device-tree/#size-cells': cells(2),
      [`proc/device-tree/chosen/${fdt}`]: cells(0, TREE, 0, 4096),
      'proc/device-tree/chosen/linux,kho-scratch': scratch,
    };
    const { handovers } = liveHandovers(toldByFiles(system(files)), memory(), undefined);
    assert.deepEqual([handovers[0]?.address, handovers[0]?.scratch.length], [TREE, form === 'array' ? 2 : 1]);
  }
  const odd = { 'proc/device-tree/chosen/linux,kho-fdt': cells(1, 2, 3, 4, 5) };
  assert.match(toldByFiles(system(odd)).silent.at(-1)?.why ?? '', /^20 bytes, which are not 3 cells/);
});

test('a copy may be of any part of the way there', () => {
  const from = (cut: string, files: Files): Files =>
    Object.fromEntries(Object.entries(files).map(([path, content]) => [path.slice(cut.length), content]));
  for (const cut of ['', 'sys/', 'sys/kernel/', 'sys/kernel/debug/', 'sys/kernel/debug/kho/']) {
    const { told } = toldByFiles(system(from(cut, DEBUGFS_IN), false, '/copy'));
    assert.deepEqual(
      told.map(({ direction }) => direction),
      ['incoming', 'outgoing'],
      cut,
    );
  }
  const side = from('sys/kernel/debug/kho/in/', { 'sys/kernel/debug/kho/in/fdt': fixture('in-fdt.dtb') });
  assert.equal(toldByFiles(system(side, false, '/copy/in')).told[0]?.direction, 'incoming');
  for (const cut of ['', 'sys/', 'sys/kernel/', 'sys/kernel/boot_params/']) {
    assert.equal(toldByFiles(system(from(cut, SETUP_32), false, '/copy')).told[0]?.address, TREE, cut);
  }
});

test('a kho_data of another size is told, not read', () => {
  const files = { ...SETUP_32, 'sys/kernel/boot_params/setup_data/1/data': u64(TREE, 4096, 0) };
  const { told, silent } = toldByFiles(system(files));
  assert.deepEqual(told, []);
  assert.match(silent.at(-1)?.why ?? '', /^struct kho_data of 24 bytes/);
});

test('mutated files never make it throw', () => {
  const random = new Random(5);
  const whole: Record<string, Uint8Array> = { ...SETUP_32, ...DEBUGFS_IN } as Record<string, Uint8Array>;
  for (let round = 0; round < 200; round++) {
    const files = Object.fromEntries(
      Object.entries(whole).map(([path, content]) => {
        const changed = content.slice(0, random.below(4) === 0 ? random.below(content.length + 1) : undefined);
        if (changed.length > 0) changed[random.below(changed.length)] = random.below(256);
        return [path, changed];
      }),
    );
    liveHandovers(toldByFiles(system(files)), memory(), undefined);
  }
});
