import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pfn } from '../../src/bytes/address.js';
import { joinRanges, type PhysicalMemory } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { type LabDump, labDumps } from './support.js';

const dumps = labDumps();

function open(dump: LabDump, cacheBytes?: number): PhysicalMemory {
  const image = dump.files[0]?.endsWith('.raw');
  return openDumpFiles(dump.files, {
    ...(image && { format: 'raw' }),
    ...(cacheBytes !== undefined && { cacheBytes }),
  }).memory;
}

/** Fails for the first page that is not the same in both, be it another one or missing for another reason. */
function assertSame(one: PhysicalMemory, other: PhysicalMemory, titles: string): void {
  assert.deepEqual(joinRanges(one.ranges()), joinRanges(other.ranges()), titles);
  for (const { start, end } of one.ranges()) {
    for (let pfn = Math.ceil(start / one.pageSize); pfn < Math.floor(end / one.pageSize); pfn++) {
      const [here, there] = [one.page(pfn as Pfn), other.peek(pfn as Pfn)];
      const same =
        typeof here === 'string' || typeof there === 'string' ? here === there : Buffer.compare(here, there) === 0;
      assert.ok(same, `${titles}: page ${pfn}`);
    }
  }
}

/** Dumps of one moment of one machine, by the scene and the level at which pages were left out. */
function groups(): Map<string, LabDump[]> {
  const found = new Map<string, LabDump[]>();
  for (const dump of dumps.filter(({ cutOff }) => !cutOff)) {
    const name = dump.title.split('/')[1] ?? '';
    // makedumpfile -E fills single excluded pages with zeros; `vmcore.elf` and its -d 0 and -d 1 are other sets of pages.
    // A raw image has something in every page, be there RAM or not.
    if (/^vmcore\.(d31\.elf|elf|d0|d1)/.test(name) || name.includes('paging') || name.endsWith('.raw')) continue;
    const key = `${dump.truth.scene}, ${name.startsWith('vmcore') ? 'vmcore -d 31' : 'dump'}`;
    found.set(key, [...(found.get(key) ?? []), dump]);
  }
  return found;
}

for (const [title, members] of groups()) {
  if (members.length < 2) continue;
  test(`${title}: ${members.length} forms of it hold the same pages`, () => {
    const [first, ...others] = members;
    assert.ok(first);
    const memory = open(first, 2 ** 30);
    for (const other of others) assertSame(memory, open(other), `${other.title} and ${first.title}`);
  });
}

test('pages that makedumpfile left out are excluded, not zero; what it kept equals the whole vmcore', () => {
  const whole = open(named('kdump/vmcore.elf'));
  const filtered = open(named('kdump/vmcore.d31.zlib'));
  let excluded = 0;
  for (const { start, end } of whole.ranges()) {
    for (let page = Math.ceil(start / 4096); page < Math.floor(end / 4096); page++) {
      const kept = filtered.page(page as Pfn);
      if (typeof kept === 'string') excluded++;
      else assert.deepEqual(Buffer.from(kept).equals(whole.page(page as Pfn) as Uint8Array), true, `page ${page}`);
    }
  }
  assert.ok(excluded > 1000, `${excluded} excluded`);
});

function named(title: string): LabDump {
  const dump = dumps.find((candidate) => candidate.title === title);
  assert.ok(dump, `${title} is not among the dumps`);
  return dump;
}
