/** The trace that crossed: as the next kernel shows it, read from either kernel's dump and inside the next kernel. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { physicalAddress } from '../../src/bytes/address.js';
import { MemorySource } from '../../src/bytes/byte-source.js';
import { openPersistentTrace, withFormatsOf } from '../../src/trace/open.js';
import { traceFor } from '../../src/trace/relocation.js';
import { labTrace, sameLines, textOf } from '../e2e/traces.js';
import {
  HANDOVER_SCENE,
  INSTANCE,
  NEXT,
  NEXT_TRUTH,
  OLD,
  OLD_TRUTH,
  RESERVED,
  SAID,
  TAKEN,
  TAKEN_TRUTH,
} from './names.js';
import { exhume, handoverOf, opened, pathOf, told } from './support.js';

/** The next kernel's own words. */
const truth = told(NEXT_TRUTH, 'instances', INSTANCE, 'trace');

/** The text of the buffer that crossed. */
function textIn(...words: readonly string[]): string {
  const { status, stdout, stderr } = exhume('trace', ...words, '--format', 'restarted');
  assert.equal(status, 0, stderr);
  return stdout;
}

/** The events alone, without the names of threads: each kernel has its own, as it has of tracer and overwritten events. */
function eventsIn(text: string): string {
  return text.replaceAll(/^#.*\n/gm, '').replaceAll(/^ {0,15}(?:<\.\.\.>|\S.{0,14}?)-(\d+) +(?=\[\d{3}\] )/gm, '$1 ');
}

test('there is much of it, from every CPU, up to the very end', () => {
  const lines = truth.split('\n').filter((line) => !line.startsWith('#'));
  assert.ok(lines.length > 3000, `${lines.length} lines`);
  for (const cpu of ['000', '001']) assert.ok(lines.some((line) => line.includes(`[${cpu}]`)));
  assert.match(truth, /hello from the old kernel/);
  assert.match(truth, /vfs_\w+ <-/);
});

test("read from the next kernel's dump it is what that kernel shows, line by line", () => {
  for (const file of [NEXT, TAKEN]) sameLines(textIn(pathOf(file), '--buffer', INSTANCE), truth, file);
});

test("read from the old kernel's dump, just before it jumped, it is the same", () => {
  const text = textIn(pathOf(OLD), '--buffer', INSTANCE);
  sameLines(eventsIn(text), eventsIn(truth), OLD);
});

test('inside the next kernel, exhume on /proc/kcore writes the same', () => {
  assert.equal(told(TAKEN_TRUTH, SAID, 'trace.status').trim(), '0', told(TAKEN_TRUTH, SAID, 'trace.err'));
  sameLines(told(TAKEN_TRUTH, SAID, 'trace'), truth, SAID);
});

test('of the copies of debugfs and the memory that the handover names nothing more is needed', () => {
  const next = opened(NEXT);
  const area = handoverOf(next, 'incoming')
    .users.flatMap(({ areas }) => areas)
    .find(({ what }) => what === `reserve_mem ${RESERVED}`);
  assert.ok(area);
  const bytes = new Uint8Array(area.size);
  next.memory.read(physicalAddress(area.address), bytes);
  const region = openPersistentTrace(new MemorySource(bytes));
  assert.ok(region);
  const named = withFormatsOf(region, labTrace(HANDOVER_SCENE, NEXT));
  const [buffer] = named.buffers;
  assert.ok(buffer);
  sameLines(textOf(traceFor(named, buffer), buffer, { earlierBoot: true }), truth, RESERVED);
});

test('the buffer at the top level is what the old kernel showed of it', () => {
  const { status, stdout, stderr } = exhume('trace', pathOf(OLD));
  assert.equal(status, 0, stderr);
  sameLines(stdout, told(OLD_TRUTH, 'trace'), OLD);
});
