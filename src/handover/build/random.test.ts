import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../bytes/byte-source.js';
import { isExhumeError } from '../../bytes/errors.js';
import { SparseMemory } from '../../dump/testing/sparse-memory.js';
import { Random } from '../../testing/random.js';
import { checkHandover } from '../check/check.js';
import { findHandovers } from '../open.js';
import { buildHandover } from './build.js';
import type { KhoBuildDescription, LuoSessionDescription, UserDescription } from './description.js';
import { parseDescription } from './parse.js';

const PAGE = 4096;
const VERSIONS = ['kho-v4', 'kho-v3', 'kho-v2', 'kho-v1'] as const;

type Upstream = (typeof VERSIONS)[number];

/** A description of things that a kernel could hand over, each in its own stretch of memory or wherever there is room. */
class Description {
  private next = 0x4000000;
  /** What is to be read again: memory by its owner, files by name with their sizes and the pages that have folios. */
  readonly reserved: { readonly name: string; readonly address: number; readonly size: number }[] = [];
  readonly files: { readonly name: string; readonly size: number; readonly folios: readonly number[] }[] = [];

  constructor(private readonly random: Random) {}

  make(version: Upstream): KhoBuildDescription {
    const { random } = this;
    const users: UserDescription[] = [];
    if (random.below(2) === 0) users.push({ reserveMem: this.areas() });
    if (random.below(2) === 0)
      users.push({ kexecMetadata: { release: `7.${random.below(9)}`, count: random.below(99) } });
    if (random.below(3) > 0) {
      const form = random.below(2) === 0 ? 'struct' : 'fdt';
      users.push({ luo: { form, updates: random.below(1000), sessions: this.sessions(form) } });
    }
    users.push({
      name: 'other',
      tree: { '/': { compatible: 'other-v1', odd: { hex: 'abcdef' } }, '/a/b': { c: { u64: 1 } } },
    });
    return {
      version,
      ...(version === 'kho-v1' && { bitmaps: random.below(2) === 0 ? 512 : 4096 }),
      scratch: [{ address: 0x20000000, size: '16M' }],
      users,
      memory: Array.from({ length: random.below(4) }, () => ({
        ...(random.below(2) === 0 && { address: this.place(8) }),
        size: PAGE * (1 + random.below(8)),
        content: { random: random.below(100) },
      })),
    };
  }

  private place(pages: number): number {
    const at = this.next + PAGE * this.random.below(16);
    this.next = at + pages * PAGE;
    return at;
  }

  private areas() {
    return Array.from({ length: this.random.below(8) }, (_, index) => {
      const pages = 1 + this.random.below(100);
      const area = { name: `area${index}`, address: this.place(pages), size: pages * PAGE };
      this.reserved.push(area);
      return { ...area, content: { pattern: '5a' } } as const;
    });
  }

  private sessions(form: 'struct' | 'fdt'): LuoSessionDescription[] {
    const { random } = this;
    return Array.from({ length: random.below(form === 'fdt' ? 20 : 70) }, (_, session) => ({
      name: `s${session}`,
      files: Array.from({ length: random.below(4) }, (_, token) => this.memfd(`s${session}`, token)),
    }));
  }

  private memfd(session: string, token: number) {
    const { random } = this;
    const order = random.below(3);
    const count = random.below(6);
    const folios = Array.from({ length: count }, (_, index) => index * 2 ** order);
    const size = count * PAGE * 2 ** order;
    this.files.push({ name: `${session}/${token}`, size, folios });
    return {
      token,
      ...(random.below(3) === 0 && { compatible: 'memfd-v1' }),
      memfd: { size, order, list: { order: random.below(2) }, content: { random: token } },
    };
  }
}

const noFile = () => new MemorySource(new Uint8Array());

test('what random descriptions say is read again, out of every version', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const made = new Description(random);
    const description = made.make(VERSIONS[random.below(VERSIONS.length)] ?? 'kho-v4');
    // As a file would say it.
    const built = buildHandover(parseDescription(JSON.stringify(description), 'random'), noFile);
    const [handover, another] = findHandovers(built.image, undefined, [built.note]);
    assert.ok(handover !== undefined && another === undefined, `seed ${seed}`);
    assert.deepEqual(
      [handover.compatible, handover.damage, built.warnings],
      [description.version, [], []],
      `seed ${seed}`,
    );
    assert.deepEqual(
      handover.preserved?.blocks.map(({ address, order }) => `${address} ${order}`),
      [...built.blocks].sort((a, b) => a.address - b.address).map(({ address, order }) => `${address} ${order}`),
      `seed ${seed}`,
    );
    const areas = handover.users.flatMap((user) => user.areas);
    for (const { name, address, size } of made.reserved) {
      assert.deepEqual(
        areas.filter(({ what }) => what === `reserve_mem ${name}`),
        [{ address, size, what: `reserve_mem ${name}` }],
        `seed ${seed}`,
      );
    }
    assert.deepEqual(
      handover.files.map(({ name, size, folios }) => ({ name, size, folios: folios.map(({ index }) => index) })),
      made.files,
      `seed ${seed}`,
    );
    const lost = checkHandover(handover, built.image, undefined).filter(
      ({ severity, check }) => severity !== 'note' && check !== 'version',
    );
    assert.deepEqual(lost, [], `seed ${seed}`);
  }
});

test('builds that were damaged are read and checked to an end, with damage or errors of ours', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed * 31);
    const built = buildHandover(
      new Description(random).make(VERSIONS[random.below(VERSIONS.length)] ?? 'kho-v4'),
      noFile,
    );
    const memory = new SparseMemory();
    for (const { start, end } of built.image.presentRanges()) {
      for (let at: number = start; at < end; at += PAGE) memory.at(at / PAGE).set(built.image.bytes(at, PAGE));
    }
    const pfns = [...memory.pages.keys()];
    for (let change = 0; change < 1 + random.below(12); change++) {
      const page = memory.at(pfns[random.below(pfns.length)] ?? 0);
      // The beginnings of pages hold heads of lists, trees and tables.
      page[random.below(random.below(2) === 0 ? 64 : PAGE)] = random.below(256);
    }
    try {
      for (const handover of findHandovers(memory, undefined, [built.note])) {
        assert.ok(checkHandover(handover, memory, undefined, 'mem=64M reserve_mem=4K:4K:area0').length < 2000);
      }
    } catch (error) {
      assert.ok(isExhumeError(error), `seed ${seed}: ${error}`);
    }
  }
});

test('descriptions that were damaged are refused with their places, or built', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed * 7);
    const text = JSON.stringify(new Description(random).make('kho-v4'));
    const at = random.below(text.length);
    const other = text.slice(0, at) + '0"{}[],:ax'.charAt(random.below(10)) + text.slice(at + 1);
    try {
      buildHandover(parseDescription(other, 'damaged'), noFile);
    } catch (error) {
      assert.ok(isExhumeError(error) && error.code === 'EXH_USAGE', `seed ${seed}: ${error}`);
    }
  }
});
