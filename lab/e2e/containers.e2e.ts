import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Pfn } from '../../src/bytes/address.js';
import type { PhysicalMemory } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { type LabDump, labDumps } from './support.js';

const dumps = labDumps();

/** What a memory holds: a digest of all present pages with their numbers, and how many pages are in which state. */
function digest(memory: PhysicalMemory): { digest: string; states: Record<string, number> } {
  const hash = createHash('sha256');
  const states: Record<string, number> = {};
  for (const { start, end } of memory.ranges()) {
    for (let page = Math.ceil(start / memory.pageSize); page < Math.floor(end / memory.pageSize); page++) {
      const content = memory.page(page as Pfn);
      const state = typeof content === 'string' ? content : 'present';
      states[state] = (states[state] ?? 0) + 1;
      if (typeof content !== 'string') hash.update(`${page}:`).update(content);
    }
  }
  return { digest: hash.digest('hex'), states };
}

function open(dump: LabDump): PhysicalMemory {
  return openDumpFiles(dump.files, dump.files[0]?.endsWith('.raw') ? { format: 'raw' } : {}).memory;
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
    const [first, ...others] = members.map((dump) => ({ title: dump.title, ...digest(open(dump)) }));
    for (const other of others) {
      assert.equal(other.digest, first?.digest, `${other.title} and ${first?.title}`);
      assert.deepEqual(other.states, first?.states, `${other.title} and ${first?.title}`);
    }
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
