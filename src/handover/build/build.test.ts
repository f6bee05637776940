import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ByteSink } from '../../bytes/byte-sink.js';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { Handover } from '../model.js';
import { findHandovers } from '../open.js';
import { type BuiltHandover, buildHandover } from './build.js';
import { type KhoBuildDescription, VERSIONS } from './description.js';

const FIXTURES = fileURLToPath(new URL('../../../../src/handover/fixtures/', import.meta.url));
const fixture = (name: string): Uint8Array => Uint8Array.from(readFileSync(`${FIXTURES}${name}`));
const PAGE = 4096;

function build(description: KhoBuildDescription, files: Record<string, Uint8Array> = {}): BuiltHandover {
  return buildHandover(description, (name) => new MemorySource(files[name] ?? new Uint8Array(), name));
}

/** What is read of a build; there is one handover in it. */
function read({ image, note }: BuiltHandover): Handover {
  const found = findHandovers(image, undefined, [note]);
  const [handover, another] = found;
  assert.ok(handover !== undefined && another === undefined, `${found.length} handovers`);
  return handover;
}

const blob = ({ image, blobs }: BuiltHandover, name: string): Uint8Array => {
  const area = blobs.find((one) => one.name === name);
  assert.ok(area);
  return image.bytes(area.address, area.size);
};

/** What the fixtures of a real 7.2 kernel hold. */
const REAL: KhoBuildDescription = {
  version: 'kho-v4',
  address: '0x3d5000',
  map: { pages: ['0x3d7000'] },
  users: [
    { address: '0x16db000', reserveMem: [{ name: 'trace', address: '0x3e200000', size: '4M' }] },
    {
      name: 'kho_test',
      address: '0x508000',
      tree: {
        '/': { compatible: 'kho-test-v1', magic: { u32: '0x4b484f21' } },
        '/data': {
          nr_folios: { u32: 8 },
          folios_info: { hex: '00404f000000000001000000 01000000' },
          csum: { u32: '0xeb79525f' },
        },
      },
    },
    { address: '0x427000', kexecMetadata: { release: '7.2.12', count: 1 } },
  ],
};

test("a tree and descriptions that say what a real kernel's do are its bytes", () => {
  const built = build(REAL);
  assert.deepEqual(built.tree, fixture('in-fdt.dtb'));
  assert.deepEqual(blob(built, 'memblock'), fixture('memblock.dtb'));
  assert.deepEqual(blob(built, 'kho_test'), fixture('kho_test.dtb'));
  assert.deepEqual(blob(built, 'kexec-metadata'), fixture('kexec-metadata.bin'));
  assert.deepEqual(built.warnings, []);
});

test('pages that lie together are preserved in blocks as large as they lie, as the kernel does', () => {
  const { preserved } = read(build({ memory: [{ address: '0x3ff000', size: '4100K' }] }));
  const blocks = preserved?.blocks.filter(({ address }) => address < 0x1000000) ?? [];
  assert.deepEqual(
    blocks.map(({ address, order }) => [address, order]),
    [
      [0x3ff000, 0],
      [0x400000, 10],
    ],
  );
});

for (const version of VERSIONS.filter((one) => one.startsWith('kho'))) {
  for (const bitmaps of version === 'kho-v1' ? ([512, 4096] as const) : [undefined]) {
    test(`what ${version}${bitmaps === undefined ? '' : ` with bitmaps of ${bitmaps} bytes`} says is read again`, () => {
      const built = build({
        version,
        ...(bitmaps !== undefined && { bitmaps }),
        scratch: [{ address: '0x2000000', size: '1M' }],
        users: [
          { reserveMem: [{ name: 'trace', address: '0x8000000', size: '12K', content: { pattern: 'ab' } }] },
          { name: 'other', tree: { '/': { compatible: 'other-v1' } } },
        ],
        memory: [{ size: '1M' }, { address: '0x7000003000', size: PAGE }],
      });
      const handover = read(built);
      assert.deepEqual([handover.compatible, handover.series, handover.damage], [version, 'upstream', []]);
      assert.deepEqual(handover.scratch, [{ address: 0x2000000, size: 1 << 20 }]);
      assert.deepEqual(
        handover.preserved?.blocks.map(({ address, order }) => [address, order]),
        [...built.blocks].sort((a, b) => a.address - b.address).map(({ address, order }) => [address, order]),
      );
      assert.deepEqual(
        handover.users.map(({ name, format }) => [name, format]),
        [
          ['memblock', 'device tree memblock-v1'],
          ['other', 'device tree other-v1'],
        ],
      );
      assert.deepEqual(built.image.bytes(0x8000000, 2), Uint8Array.of(0xab, 0xab));
    });
  }
}

test('a live update with memfds: lists of several pages, folios of several orders, holes', () => {
  const content = Uint8Array.from({ length: 600 * PAGE }, (_, at) => (at / PAGE) % 251);
  const built = build(
    {
      users: [
        {
          luo: {
            updates: 3,
            sessions: [
              ...Array.from({ length: 60 }, (_, index) => ({ name: `s${index}` })),
              {
                name: 'vm',
                files: [
                  { token: 7, memfd: { content: { file: 'content' }, order: 0, seals: 3 } },
                  { token: 8, memfd: { size: '10K', folios: [{ order: 1 }, { hole: true, index: 2 }] } },
                  ...Array.from({ length: 70 }, () => ({ compatible: 'vfio', data: 1 })),
                ],
              },
            ],
            shared: [{ name: 'iommu', data: 5, count: 2 }],
          },
        },
      ],
    },
    { content },
  );
  const { files, damage, users } = read(built);
  assert.deepEqual(damage, []);
  assert.deepEqual(
    files.map(({ name, size, folios }) => [name, size, folios.length]),
    [
      ['vm/7', 600 * PAGE, 600],
      ['vm/8', 10 << 10, 1],
    ],
  );
  const [luo] = users;
  assert.equal(luo?.content?.children.length, 62);
  assert.equal(luo?.content?.children.find(({ name }) => name === 'session vm')?.children.length, 72);
  const last = files[0]?.folios.at(-1);
  assert.deepEqual(built.image.bytes(last?.address ?? 0, 1), Uint8Array.of(599 % 251));
});

test('an address that is given is kept, and nothing else is put there', () => {
  const built = build({ from: '0x10000', users: [{ name: 'a', bytes: { text: 'x' } }], address: '0x10000' });
  assert.equal(built.address, 0x10000);
  assert.equal(built.blobs[0]?.address, 0x11000);
});

test('content is asked for as it is written: a build may be larger than memory, and zeros are holes', () => {
  const built = build({
    memory: [
      { address: '0x100000000', size: '4G' },
      { address: '0x40000000', size: '3M', content: { random: 7 } },
    ],
  });
  const sizes = { written: 0, zeros: 0, most: 0 };
  const sink: ByteSink = {
    name: 'counted',
    write: (_, bytes) => {
      sizes.written += bytes.length;
      sizes.most = Math.max(sizes.most, bytes.length);
    },
    zeros: (_, size) => {
      sizes.zeros += size;
    },
    extend: () => {},
  };
  built.image.writeElf(sink, [built.note]);
  assert.equal(sizes.zeros, 2 ** 32);
  assert.ok(sizes.written < 4 << 20 && sizes.most <= 1 << 20, JSON.stringify(sizes));
});

test('what cannot be is refused, with its place in the description', () => {
  const refused = (description: KhoBuildDescription, message: RegExp) =>
    assert.throws(
      () => build(description),
      (error: unknown) => isExhumeError(error) && error.code === 'EXH_USAGE' && message.test(error.message),
    );
  refused(
    {
      memory: [
        { address: '0x5000', size: '8K' },
        { address: '0x6000', size: 1 },
      ],
    },
    /^memory\[1\]: memory\[1\] at 0x6000 lies where memory\[0\] does/,
  );
  refused({ address: '0xffffffffffff0000' }, /^address: .* no physical address/);
  refused({ memory: [{ address: '0xffffffffff000', size: '1G' }] }, /^memory\[0\]: .*physical addresses end/);
  refused({ memory: [{ address: '0x1000', size: '8K', preserve: 'folio' }] }, /^memory\[0\]: .* no multiple of 8192/);
  refused({ users: [{ name: 'a' }] }, /^users\[0\]: one of reserveMem, /);
  refused({ users: [{ tree: {} }] }, /^users\[0\]\.name: /);
  refused({ version: '2023-v3', users: [{ luo: {} }] }, /^users\[0\]\.luo: /);
  refused({ users: [{ name: 'a', bytes: 'zeros' }] }, /^users\[0\]\.bytes: its size is needed/);
  refused({ bitmaps: 512 }, /^bitmaps: /);
});

test('what is possible and wrong is built, with a warning', () => {
  const { warnings } = build({
    scratch: [{ address: '0x2000000', size: '1M' }],
    memory: [
      { address: '0x2000000', size: '4K' },
      { address: '0x3000800', size: '4K' },
    ],
    users: [{ address: '0x3000000', name: 'a', bytes: { text: 'x' } }],
  });
  assert.deepEqual(
    warnings.map(({ path, message }) => [path, message.replace(/:? .*/, '')]),
    [
      ['memory[0]', 'lies'],
      ['memory[1]', '0x3000800'],
      ['users[0]', 'the'],
    ],
  );
});

test('the series of 2023/24: trace buffers, and the names of its versions', () => {
  for (const [version, array, flags] of [
    ['2023-v2', 'global_trace', 'trace_flags'],
    ['2023-v3', 'global-trace', 'trace-flags'],
  ] as const) {
    const built = build({
      version,
      scratch: [{ address: '0x20000000', size: '16M' }],
      setupData: {},
      users: [
        {
          ftrace: {
            events: [{ crc: 1, type: 1 }],
            arrays: [
              {
                flags: 0x123,
                cpus: [{ cpu: 0, pages: Array.from({ length: 6 }, () => ({ content: { random: 1 }, entries: 4 })) }],
              },
            ],
          },
        },
      ],
    });
    const handover = read(built);
    assert.deepEqual([handover.series, handover.damage, built.warnings], ['2023', [], []]);
    assert.equal(handover.users[0]?.areas.length, 12);
    const [node] = handover.tree.root.children[0]?.children ?? [];
    assert.equal(node?.name, array);
    assert.ok(node?.properties.some(({ name }) => name === flags));
    assert.ok(built.address % 0x10000 === 0 && built.address >= 0x20000000);
  }
});

test("a guest's whole memory in single pages is read as one file", () => {
  const memfd = { size: '1G', content: { random: 1 } };
  const built = build({
    version: 'kho-v4',
    users: [{ name: 'LUO', luo: { sessions: [{ name: 'vm', files: [{ token: 1, memfd }] }] } }],
  });
  const { files, users, damage } = read(built);
  assert.deepEqual(
    files.map(({ name, folios }) => [name, folios.length]),
    [['vm/1', 2 ** 18]],
  );
  assert.ok(users[0]?.areas.some(({ what, size }) => what === 'vm/1: folio' && size === 2 ** 30));
  assert.deepEqual(damage, []);
});
