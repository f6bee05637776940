/** The trace of a kernel as the series of 2023/24 would hand it over: real rings, read again by their page lists. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileSource } from '../../src/bytes/node.js';
import { buildHandover } from '../../src/handover/build/build.js';
import { describeFtrace } from '../../src/handover/ftrace/describe.js';
import { findHandovers } from '../../src/handover/open.js';
import { openDumpFiles } from '../../src/hypervisor/node.js';
import { KernelView } from '../../src/kernel/kernel-view.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import { openMachine } from '../../src/machine/open.js';
import { readVmlinuz } from '../../src/trace/formats/vmlinuz.js';
import { handoverTrace } from '../../src/trace/handover/handover-trace.js';
import { kernelFtrace } from '../../src/trace/handover/kernel-rings.js';
import { openKernelTrace } from '../../src/trace/kernel-trace.js';
import type { Trace, TraceBuffer } from '../../src/trace/model.js';
import { withFormatsOf } from '../../src/trace/open.js';
import { traceFor } from '../../src/trace/relocation.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { MemoryStretch } from '../../src/trace/ring/persistent-search.js';
import { sceneDirectory } from '../directories.js';
import { kernel } from '../kernels.js';
import { TRACES } from '../traces.js';
import { labTrace, nameOf, sameLines, textOf, truthOf } from './traces.js';

/** What a kernel would hand over of a buffer, as a machine's memory that has nothing else. */
function handedOver(
  view: KernelView,
  instance: string | undefined,
): { trace: Trace; lost: ReadonlyMap<number, number> } {
  const { physical } = view.memory;
  const state = kernelFtrace(view, instance);
  const size = physical.ranges().at(-1)?.end ?? 0;
  const { image, note } = buildHandover(
    describeFtrace(state, 'v3', physical),
    () => new MemoryStretch(physical, 0, size),
  );
  const [handover, ...others] = findHandovers(image, undefined, [note]);
  assert.ok(handover && others.length === 0);
  const trace = handoverTrace(handover, image);
  assert.ok(trace);
  return { trace, lost: new Map(state.cpus.map(({ cpu, lost }) => [cpu, lost])) };
}

/** Every event, but the first ones of each CPU that are not wanted. */
function eventsOf(buffer: TraceBuffer, without: ReadonlyMap<number, number> = new Map()): string[] {
  const left = new Map(without);
  const events = readEvents(buffer);
  const found: string[] = [];
  for (const { cpu, type, pid, time, view, start, length } of events) {
    const skip = left.get(cpu) ?? 0;
    left.set(cpu, skip - 1);
    let sum = 0;
    for (let at = 0; at < length; at += 4) sum = (Math.imul(sum, 31) + view.getInt32(start + at, true)) | 0;
    if (skip <= 0) found.push(`${cpu} ${type} ${pid} ${events.base} ${time} ${length} ${sum}`);
  }
  return found;
}

const events = (text: string): string => text.replaceAll(/^#.*\n/gm, '');

for (const { name: scene, kernel: build } of TRACES.filter(({ ending }) => ending === 'off')) {
  const path = `${sceneDirectory(scene)}/dump.elf`;
  const view = new KernelView(selectKernel(openKernels(openMachine(openDumpFiles([path])))));
  const own = openKernelTrace(view);

  test(`${scene}: the top level buffer, handed over, is the guest's own text line by line`, () => {
    const { trace, lost } = handedOver(view, undefined);
    assert.deepEqual([...lost.values()], [0, 0]);
    const told = withFormatsOf(trace, own);
    const [buffer] = told.buffers;
    assert.ok(buffer);
    sameLines(events(textOf(told, buffer)), events(truthOf(scene, 'trace')), scene);
    assert.deepEqual([...told.damage, ...buffer.damage], []);
  });

  test(`${scene}: of every buffer all events cross, but those of the page that was just being read, which are told`, () => {
    let all = 0;
    let read = 0;
    for (const known of own.buffers.filter(({ snapshot }) => !snapshot)) {
      const { trace, lost } = handedOver(view, known.instance);
      const [buffer] = trace.buffers;
      assert.ok(buffer);
      const expected = eventsOf(known, lost);
      const found = eventsOf(buffer);
      assert.equal(found.length, expected.length, nameOf(known));
      assert.equal(
        found.findIndex((event, index) => event !== expected[index]),
        -1,
        nameOf(known),
      );
      assert.deepEqual([...trace.damage, ...buffer.damage], [], nameOf(known));
      all += found.length;
      for (const count of lost.values()) read += count;
    }
    assert.ok(all > 50_000 && read > 0, `${all} events, ${read} on pages being read`);
  });

  test(`${scene}: with its vmlinuz alone the functions have their names, wherever KASLR had put the kernel`, () => {
    const { trace } = handedOver(view, 'function');
    const told = withFormatsOf(trace, readVmlinuz(FileSource.open(kernel(build).image)));
    const named = withFormatsOf(trace, own);
    const [buffer] = told.buffers;
    const [known] = named.buffers;
    assert.ok(buffer && known && view.kernel.kaslrOffset !== 0n);
    // Names of threads are not in there.
    const withoutNames = (text: string): string => text.replaceAll(/^.*?(?=\[\d{3}\] )/gm, '');
    const text = withoutNames(events(textOf(traceFor(told, buffer), buffer)));
    assert.ok(text.split('\n').length > 5000);
    sameLines(text, withoutNames(events(textOf(named, known))), scene);
  });

  test(`${scene}: other builds' formats are found by fingerprints, whatever their numbers`, () => {
    const { trace } = handedOver(view, undefined);
    for (const { name: other } of TRACES.filter(({ ending, name }) => ending === 'off' && name !== scene)) {
      const theirs = labTrace(other);
      const told = withFormatsOf(trace, theirs);
      assert.ok(told.formats.all.length > 1000, `${told.formats.all.length} kinds`);
      let moved = 0;
      for (const format of told.formats.all) {
        const mine = own.formats.byId(format.id);
        // Numbers that are fixed tell nothing of another kernel's.
        if (format.system === 'ftrace') continue;
        assert.ok(mine);
        assert.deepEqual(
          [format.name, format.fields.map(({ size }) => size)],
          [mine.name, mine.fields.map(({ size }) => size)],
        );
        if (theirs.formats.find(format.system, format.name)?.id !== format.id) moved++;
      }
      assert.ok(moved > 500, `${moved} kinds with another number`);
      assert.ok(told.damage.some(({ message }) => /another boot/.test(message)));
    }
  });
}
