import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../bytes/byte-source.js';
import { buildHandover } from '../build/build.js';
import type { KhoBuildDescription, UserDescription } from '../build/description.js';
import { findHandovers } from '../open.js';
import { checkHandover } from './check.js';

const MEMFD = 0x4000000;
const LIST = 0x4100000;
const CHUNK = 0x4101000;
const FOLIOS = 0x4200000;
const SESSIONS = 0x4300000;
const FILES = 0x4301000;
const LUO = 0x4302000;
const METADATA = 0x4303000;
const RESERVED = 0x8000000;

type Memfd = NonNullable<
  NonNullable<NonNullable<UserDescription['luo']>['sessions']>[number]['files']
>[number]['memfd'];

const memfd: NonNullable<Memfd> = {
  address: MEMFD,
  size: '12K',
  folios: [{ address: FOLIOS, order: 1 }, { address: FOLIOS + 0x2000 }],
  list: { pages: [LIST], chunks: [CHUNK] },
};
const reserved = { name: 'trace', address: RESERVED, size: '1M', content: 'excluded' } as const;
/** Of 2048 words of 0x55555555. */
const TEST_SUM = '0xaaaaaaaa';
const test1: UserDescription = {
  name: 'kho_test',
  tree: {
    '/': { compatible: 'kho-test-v1', magic: { u32: '0x4b484f21' } },
    '/data': {
      nr_folios: { u32: 1 },
      folios_info: { vmalloc: { content: { hex: '01 00 00 05 00 00 00 00' } } },
      csum: { u32: TEST_SUM },
    },
  },
};

interface Change {
  readonly reserved?: readonly NonNullable<UserDescription['reserveMem']>[number][];
  readonly memblock?: Partial<UserDescription>;
  /** Instead of memblock. */
  readonly other?: UserDescription;
  readonly metadata?: Partial<UserDescription>;
  readonly memfd?: Partial<NonNullable<Memfd>>;
  /** Instead of the memfd. */
  readonly file?: { readonly compatible: string; readonly data?: number };
  readonly luo?: Partial<NonNullable<UserDescription['luo']>>;
  readonly luoUser?: Partial<UserDescription>;
  readonly test?: UserDescription;
  readonly rest?: Partial<KhoBuildDescription>;
  readonly patches?: readonly (readonly [address: number, hex: string])[];
  readonly commandLine?: string;
}

/** A handover of all that a real one has, and nothing wrong with it but what is changed. */
function findings(change: Change = {}): string[] {
  const whole = { token: 7, memfd: { ...memfd, ...change.memfd } };
  const { data } = change.file ?? {};
  const file = data === undefined ? { ...whole, ...change.file } : { token: 7, ...change.file };
  const description: KhoBuildDescription = {
    scratch: [{ address: 0x20000000, size: '16M' }],
    users: [
      change.other ?? { reserveMem: [...(change.reserved ?? [reserved])], ...change.memblock },
      { address: METADATA, kexecMetadata: { release: '7.2.12' }, ...change.metadata },
      {
        address: LUO,
        luo: {
          sessionsAddress: SESSIONS,
          sessions: [{ name: 'vm', address: FILES, files: [file] }],
          ...change.luo,
        },
        ...change.luoUser,
      },
      change.test ?? test1,
    ],
    memory: [{ address: 0x5000000, size: '8K', preserve: 'folio', content: { pattern: '55' } }],
    patches: (change.patches ?? []).map(([address, hex]) => ({ address, hex })),
    ...change.rest,
  };
  const built = buildHandover(description, () => new MemorySource(new Uint8Array()));
  const [handover] = findHandovers(built.image, undefined, [built.note]);
  assert.ok(handover);
  return checkHandover(handover, built.image, undefined, change.commandLine)
    .filter(({ check }) => check !== 'presence')
    .map(({ severity, check, about, message }) => `${severity} ${check} ${about}: ${message}`);
}

/** The one thing that is wrong, by its beginning and by its message. */
function only(change: Change, begin: string, message: RegExp): void {
  const found = findings(change);
  assert.equal(found.length, 1, found.join('\n') || 'nothing was found');
  assert.ok(found[0]?.startsWith(`${begin}: `), found[0]);
  assert.match(found[0] ?? '', message);
}

/** u64, as in `patches`. */
const u64 = (...values: readonly number[]) => Buffer.from(BigUint64Array.from(values, BigInt).buffer).toString('hex');
const reserve = 'reserve_mem=1M:4K:trace';

test('nothing is wrong with what the others change', () => {
  assert.deepEqual(findings(), []);
  assert.deepEqual(findings({ commandLine: `console=ttyS0 ${reserve} liveupdate=on kho=on` }), []);
});

const FAULTS: readonly (readonly [what: string, change: Change, begin: string, message: RegExp])[] = [
  [
    'memblock is no device tree',
    { other: { name: 'memblock', bytes: { hex: '00' } } },
    'refused description memblock',
    /no device tree/,
  ],
  [
    'memblock is a tree of a version that there is not',
    {
      other: {
        name: 'memblock',
        bytes: { hex: `d00dfeed${'00000028'.repeat(4)}000000630000006300000000${'00'.repeat(8)}` },
      },
    },
    'refused description memblock',
    /version 99/,
  ],
  [
    'memblock of another version',
    { memblock: { compatible: 'memblock-v2' } },
    'refused version memblock',
    /memblock-v2/,
  ],
  [
    'reserve_mem of another version',
    { reserved: [{ ...reserved, compatible: 'reserve-mem-v2' }] },
    'refused description reserve_mem trace',
    /reserve-mem-v2/,
  ],
  ['kexec-metadata of another version', { patches: [[METADATA, '02']] }, 'refused version kexec-metadata', /version 2/],
  ['kexec-metadata too short', { metadata: { size: 60 } }, 'refused description kexec-metadata', /60 bytes of 73/],
  [
    'LUO of another version',
    { luo: { sessionsAddress: SESSIONS, compatible: 'luo-v6' } },
    'refused version LUO',
    /luo-v6: .* luo-v5/,
  ],
  [
    'LUO in the form of 6.19',
    { luo: { form: 'fdt', sessionsAddress: 0x4400000, sessions: [{ name: 'vm' }] } },
    'refused version LUO',
    /device tree/,
  ],
  ['LUO too short', { luoUser: { size: 24 } }, 'refused description LUO', /24 bytes of 32/],
  [
    'blocks of sessions in a circle',
    { patches: [[SESSIONS, u64(SESSIONS)]] },
    'refused description LUO',
    /without end/,
  ],
  ['a block without entries', { patches: [[FILES + 8, u64(0)]] }, 'refused description LUO', /block of 0 entries/],
  [
    'a block with more than fit',
    { patches: [[FILES + 8, u64(64)]] },
    'refused description LUO',
    /64 entries, of which 63/,
  ],
  [
    'another number of files than told',
    { luo: { sessions: [{ name: 'vm', count: 3 }] } },
    'refused description LUO',
    /session of 3 files has 0/,
  ],
  [
    'two sessions of a name',
    { luo: { sessions: [{ name: 'vm' }, { name: 'vm' }] } },
    'refused description LUO',
    /two sessions are vm/,
  ],
  [
    'two files of a token',
    {
      luo: {
        sessions: [
          {
            name: 'vm',
            files: [
              { token: 7, memfd: {} },
              { token: 7, memfd: {} },
            ],
          },
        ],
      },
    },
    'lost file vm/7',
    /two of this token/,
  ],
  [
    'a file that nobody handles',
    { file: { compatible: 'vfio-v9', data: 1 } },
    'note file vm/7',
    /vfio-v9: without a handler/,
  ],
  ['a memfd of another version', { file: { compatible: 'memfd-v1' } }, 'refused version vm/7', /memfd-v1: .* memfd-v2/],
  ['a memfd that leads nowhere', { patches: [[FILES + 16 + 48, u64(0)]] }, 'refused file vm/7', /leads nowhere/],
  ['seals that nobody knows', { memfd: { seals: 0x40 } }, 'refused file vm/7', /seals/],
  ['more folios than the list has', { memfd: { count: 600 } }, 'refused description LUO', /list of 600 folios/],
  ['fewer folios than pages', { memfd: { size: '16K' } }, 'lost file vm/7', /1 of its 4 pages/],
  [
    'a hole among the folios',
    { memfd: { folios: [{ address: FOLIOS, order: 1 }, { hole: true }] } },
    'lost file vm/7',
    /1 of its 3 pages/,
  ],
  ['folios behind the end', { memfd: { size: '8K' } }, 'lost file vm/7', /behind its end/],
  [
    'two folios for a page',
    { memfd: { folios: [{ order: 1 }, { order: 0, index: 2 }, { index: 2 }] } },
    'refused file vm/7',
    /two folios for one page/,
  ],
  [
    'a folio amid its own size',
    { memfd: { folios: [{ index: 0 }, { index: 1, order: 1 }] } },
    'refused file vm/7',
    /no multiple of their size/,
  ],
  [
    'a folio that is not preserved',
    { memfd: { folios: [{ address: FOLIOS, order: 1 }, { preserve: false }] } },
    'lost preserved vm/7: folio',
    /not in the map/,
  ],
  [
    'a list that is not preserved',
    { memfd: { list: { pages: [LIST], chunks: [CHUNK], preserve: false } } },
    'lost preserved vm/7: list of folios',
    /not in the map/,
  ],
  [
    'another number of pages of a list',
    { memfd: { list: { totalPages: 2 } } },
    'refused description LUO',
    /2 pages names 1/,
  ],
  ['flags of a list that nobody knows', { memfd: { list: { flags: 0x11 } } }, 'note file vm/7', /flags 0x10/],
  ['chunks of a list in a circle', { patches: [[CHUNK, u64(CHUNK)]] }, 'refused description LUO', /without end/],
  [
    'a description that is not preserved',
    { metadata: { preserve: false } },
    'lost preserved kexec-metadata',
    /not in the map/,
  ],
  ['a tree that is not preserved', { rest: { preserve: false } }, 'lost preserved the tree', /not in the map/],
  [
    'reserve_mem that is not preserved',
    { reserved: [{ ...reserved, preserve: false }] },
    'lost preserved reserve_mem trace',
    /not in the map/,
  ],
  [
    'preserved memory that is no RAM',
    { reserved: [{ ...reserved, content: 'absent' }] },
    'lost ram preserved memory',
    /no RAM/,
  ],
  [
    'memory that two name',
    { reserved: [reserved, { ...reserved, name: 'other' }] },
    'refused claims reserve_mem trace and reserve_mem other',
    /one place/,
  ],
  [
    'a scratch area at an odd place',
    { rest: { scratch: [{ address: 0x20100000, size: '16M' }] } },
    'note scratch scratch memory',
    /multiple of 4 MiB/,
  ],
  ['test data of another checksum', { patches: [[0x5000000, 'aa']] }, 'refused description kho_test', /checksum/],
  [
    'test data of another version',
    { test: { name: 'kho_test', tree: { '/': { compatible: 'kho-test-v2' } } } },
    'refused version kho_test',
    /kho-test-v2/,
  ],
  [
    'reserve_mem that nobody asks for',
    { commandLine: 'liveupdate=on' },
    'lost command-line reserve_mem trace',
    /nobody gets it/,
  ],
  [
    'reserve_mem of another size',
    { commandLine: 'liveupdate=on reserve_mem=2M:4K:trace' },
    'lost command-line reserve_mem trace',
    /asks for 2 MiB, it has 1 MiB/,
  ],
  [
    'reserve_mem of another alignment',
    { commandLine: 'liveupdate=on reserve_mem=1M:1G:trace' },
    'lost command-line reserve_mem trace',
    /multiple of 1 GiB/,
  ],
  [
    'reserve_mem that was not handed over',
    { commandLine: `liveupdate=on ${reserve} reserve_mem=4K::more` },
    'note command-line reserve_mem more',
    /not handed over/,
  ],
  [
    'reserve_mem with a name that is too long',
    { commandLine: `liveupdate=on ${reserve} reserve_mem=4K:4K:sixteen-letters!` },
    'note command-line reserve_mem',
    /more than 15/,
  ],
  [
    'memmap that takes preserved memory',
    { commandLine: `liveupdate=on ${reserve} memmap=4K$0x8000000` },
    'lost command-line preserved memory',
    /memmap=4K\$0x8000000/,
  ],
  [
    'mem that ends before preserved memory',
    { commandLine: `liveupdate=on ${reserve} mem=136M memmap=0` },
    'lost command-line scratch memory',
    /mem=136 MiB/,
  ],
  ['a kernel without live update', { commandLine: reserve }, 'lost command-line LUO', /liveupdate=on/],
  [
    'a kernel without handovers',
    { commandLine: `${reserve} liveupdate=on kho=0` },
    'refused command-line LUO',
    /kho=off/,
  ],
];

for (const [what, change, begin, message] of FAULTS) test(`found: ${what}`, () => only(change, begin, message));

test('found: a map that leads nowhere, and that nothing could be compared with it', () => {
  const found = findings({ rest: { map: { root: 0 } } }).map((one) => one.replace(/:.*/, ''));
  assert.deepEqual(found, ['refused map the tree', 'note map preserved memory']);
});

test('memmap=exactmap: what it does not name is no RAM', () => {
  const commandLine = `liveupdate=on ${reserve} memmap=exactmap memmap=512M@0 memmap=64M@512M`;
  assert.deepEqual(findings({ commandLine }), []);
  const less = findings({ commandLine: `liveupdate=on ${reserve} memmap=exactmap,128M@0` });
  assert.deepEqual(
    less.map((one) => one.replace(/:.*/, '')),
    ['lost command-line preserved memory', 'lost command-line scratch memory'],
  );
});

test('found: scratch areas in which the target has no room', () => {
  const built = buildHandover({ scratch: [{ address: 0x20000000, size: '16M' }] }, () => {
    throw new Error('no file is named');
  });
  const [handover] = findHandovers(built.image, undefined, [built.note]);
  assert.ok(handover);
  const target = { release: undefined, takesHandovers: true, handovers: [handover] };
  const found = (imageSize: number) => checkHandover(handover, built.image, { ...target, imageSize });
  assert.deepEqual(found(16 << 20), []);
  assert.match(found(17 << 20)[0]?.message ?? '', /no area has room for the target's image, 17 MiB/);
});
