/** Faults planted into the dump of a real handover: `kho check` finds each of them, and nothing without them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { physicalAddress } from '../../src/bytes/address.js';
import { checkHandover } from '../../src/handover/check/check.js';
import type { Target } from '../../src/handover/check/target.js';
import type { MemoryArea } from '../../src/handover/model.js';
import { findHandovers } from '../../src/handover/open.js';
import { u64 } from '../../src/handover/testing/build.js';
import { openDumpFiles } from '../../src/hypervisor/node.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import { openMachine } from '../../src/machine/open.js';
import { PatchedMemory } from '../../src/testing/patched-memory.js';
import { NEXT, OLD, RESERVED } from './names.js';
import { handoverOf, opened, pathOf } from './support.js';

const PAGE = 4096;
const sound = opened(OLD);
const handover = handoverOf(sound, 'outgoing');
const root = handover.address ?? 0;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

/** The first memory that is named so. */
function area(what: string): MemoryArea {
  const found = handover.users.flatMap(({ areas }) => areas).find((one) => one.what === what);
  assert.ok(found, what);
  return found;
}

function blobOf(name: string): MemoryArea {
  const blob = handover.users.find((user) => user.name === name)?.blob;
  assert.ok(blob, name);
  return blob;
}

function u64At(address: number): bigint {
  const bytes = new Uint8Array(8);
  sound.memory.read(physicalAddress(address), bytes);
  return new DataView(bytes.buffer).getBigUint64(0, true);
}

/** Where bytes stand in a stretch of memory. */
function find(bytes: Uint8Array, { address, size }: MemoryArea): number {
  const all = Buffer.alloc(size);
  sound.memory.read(physicalAddress(address), all);
  const at = all.indexOf(bytes);
  assert.ok(at >= 0);
  return address + at;
}

/** In the tree of tables and bitmaps: the byte and the bit of a block. */
function bitOf({ address, size }: MemoryArea): { byte: number; bit: number; tables: number[] } {
  const order = Math.log2(size / PAGE);
  let key = (1n << BigInt(52 - order)) | (BigInt(address) >> BigInt(12 + order));
  const low = Number(key & 0x7fffn);
  key >>= 15n;
  let at = Number(u64At(find(u64(handover.preserved?.own[0]?.address ?? 0), { address: root, size: PAGE })));
  const tables: number[] = [];
  for (let level = 5; level >= 1; level--) {
    const entry = at + Number((key >> BigInt((level - 1) * 9)) & 511n) * 8;
    tables.push(entry);
    at = Number(u64At(entry));
  }
  return { byte: at + (low >> 3), bit: low & 7, tables };
}

function blockOf(address: number): MemoryArea {
  const found = handover.preserved?.blocks.find(
    (block) => address >= block.address && address < block.address + block.size,
  );
  assert.ok(found);
  return found;
}

function clearBit(memory: PatchedMemory, block: MemoryArea): void {
  const { byte, bit } = bitOf(block);
  const old = new Uint8Array(1);
  memory.read(physicalAddress(byte), old);
  assert.ok(((old[0] ?? 0) >> bit) & 1, 'the bit is set');
  memory.write(byte, Uint8Array.of((old[0] ?? 0) & ~(1 << bit)));
}

const TREE: MemoryArea = { address: root, size: handover.tree.totalSize };
const reserved = area(`reserve_mem ${RESERVED}`);
const files = area('LUO: files of vm');
const sessions = area('LUO: sessions');
const memfd = area('vm/1: struct memfd_luo_ser');

interface Fault {
  readonly name: string;
  readonly plant: (memory: PatchedMemory) => void;
  /** `severity check about` of what is found, and nothing else. */
  readonly found: readonly string[];
  readonly target?: boolean;
}

const FAULTS: readonly Fault[] = [
  { name: 'nothing', plant: () => {}, found: [] },
  {
    name: 'a scratch area over reserve_mem',
    plant: (memory) => {
      const array = sound.kernel.symbols.address('kho_scratch');
      assert.ok(array !== undefined);
      const at = sound.kernel.pageTable.translate(sound.kernel.memory.pointer(array));
      assert.ok(typeof at === 'number');
      memory.write(at, u64(reserved.address, 2 * PAGE));
    },
    found: ['lost scratch preserved memory'],
  },
  {
    name: 'the bit of reserve_mem cleared',
    plant: (memory) => clearBit(memory, blockOf(reserved.address)),
    found: [`lost preserved reserve_mem ${RESERVED}`],
  },
  {
    name: 'the bit of a folio cleared',
    plant: (memory) => clearBit(memory, blockOf(area('vm/2: folio').address)),
    // A folio of 512 pages: without its block it is one.
    found: ['lost file vm/2', 'lost preserved vm/2: folio'],
  },
  {
    name: 'the bit of the tree itself cleared',
    plant: (memory) => clearBit(memory, blockOf(root)),
    found: ['lost preserved the tree'],
  },
  {
    name: 'a table that leads where no memory is',
    plant: (memory) => memory.write(bitOf(blockOf(reserved.address)).tables[2] ?? 0, u64(0x7fff_ffff_f000)),
    found: ['lost map preserved memory', 'note map preserved memory'],
  },
  {
    name: 'a table that leads back to the root',
    plant: (memory) => {
      const [, second = 0] = bitOf(blockOf(reserved.address)).tables;
      memory.write(second, u64(handover.preserved?.own[0]?.address ?? 0));
    },
    found: ['refused map preserved memory', 'note map preserved memory'],
  },
  {
    name: 'no map',
    plant: (memory) => memory.write(find(u64(handover.preserved?.own[0]?.address ?? 0), TREE), u64(0)),
    found: ['refused map the tree', 'note map preserved memory'],
  },
  {
    name: 'another version, for the next kernel',
    plant: (memory) => memory.write(find(text('kho-v4\0'), TREE), text('kho-v5\0')),
    found: ['refused version the tree'],
    target: true,
  },
  {
    name: 'a user without blob-size',
    plant: (memory) => memory.write(find(text('blob-size\0'), TREE), text('blob-sizf\0')),
    found: ['refused node LUO', 'refused node kexec-metadata', 'refused node kho_test', 'refused node memblock'],
  },
  {
    name: 'a description that is no tree',
    plant: (memory) => memory.write(blobOf('memblock').address, text('what?')),
    found: ['refused description memblock'],
  },
  {
    name: 'a reservation that begins amid a page',
    plant: (memory) => {
      memory.write(find(u64(reserved.address), blobOf('memblock')), u64(reserved.address + 0x100));
      const { address, size } = blobOf('memblock');
      // Behind the tree's header, whose numbers look like it.
      memory.write(find(u64(reserved.size), { address: address + 40, size: size - 40 }), u64(reserved.size - PAGE));
    },
    found: [`refused alignment reserve_mem ${RESERVED}`],
  },
  {
    name: 'LUO of another version',
    plant: (memory) => memory.write(blobOf('LUO').address, text('luo-v4\0\0')),
    found: ['refused version LUO'],
  },
  {
    name: 'a list of sessions without end',
    plant: (memory) => memory.write(sessions.address, u64(sessions.address)),
    found: ['refused description LUO'],
  },
  {
    name: 'a page of more sessions than fit',
    plant: (memory) => memory.write(sessions.address + 8, u64(1000)),
    found: ['refused description LUO'],
  },
  {
    name: 'a list of folios that is shorter than it says',
    plant: (memory) => memory.write(memfd.address + 24, u64(1 << 20)),
    found: ['refused description LUO'],
  },
  {
    name: 'a memfd that is nowhere',
    plant: (memory) => memory.write(files.address + 16 + 48, u64(0x7fff_ffff_f000)),
    found: ['lost description LUO'],
  },
  {
    name: 'a folio in the middle of a block',
    plant: (memory) => {
      const list = listOf('vm/2');
      memory.write(list, u64(u64At(list) + 1n));
    },
    found: ['lost file vm/2', 'refused folios vm/2'],
  },
];

/** Where the list of a file's folios begins: its second page of this name is the first with entries. */
function listOf(file: string): number {
  const pages = handover.users.flatMap(({ areas }) => areas).filter(({ what }) => what === `${file}: list of folios`);
  return pages[1]?.address ?? 0;
}

const next = opened(NEXT);
const target: Target = { release: next.kernel.release, takesHandovers: true, handovers: next.handovers };

for (const fault of FAULTS) {
  test(`${fault.name}: ${fault.found.length === 0 ? 'nothing is found' : 'found'}`, () => {
    const container = openDumpFiles([pathOf(OLD)]);
    const memory = new PatchedMemory(container.memory);
    fault.plant(memory);
    const kernel = selectKernel(openKernels(openMachine({ ...container, memory })));
    const damaged = handoverOf({ handovers: findHandovers(memory, kernel) }, 'outgoing');
    const findings = checkHandover(damaged, memory, fault.target ? target : undefined);
    const found = findings.map(({ severity, check, about }) => `${severity} ${check} ${about}`);
    assert.deepEqual(found.sort(), [...fault.found].sort(), JSON.stringify(findings, undefined, 1));
  });
}
