/** The traces that the lab's kernels kept, as exhume reads them, and as they themselves showed them. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDumpFiles } from '../../src/hypervisor/node.js';
import { KernelView } from '../../src/kernel/kernel-view.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import { openMachine } from '../../src/machine/open.js';
import { type KernelTrace, openKernelTrace } from '../../src/trace/kernel-trace.js';
import type { Trace, TraceBuffer } from '../../src/trace/model.js';
import { readEvents } from '../../src/trace/ring/events.js';
import { TraceText, type TraceTextOptions } from '../../src/trace/text/trace-text.js';
import { sceneDirectory } from '../directories.js';

/** The trace in the kernel of a dump of a scene. */
export function labTrace(scene: string, file = 'dump.elf'): KernelTrace {
  const path = join(sceneDirectory(scene), file);
  assert.ok(existsSync(path), `scene ${scene} is missing: npm run lab`);
  return openKernelTrace(new KernelView(selectKernel(openKernels(openMachine(openDumpFiles([path]))))));
}

/** A file of the guest's tracefs. */
export function truthOf(scene: string, ...path: readonly string[]): string {
  return readFileSync(join(sceneDirectory(scene), 'truth', ...path), 'utf8');
}

/** Where a buffer's files are in tracefs. */
export function placeOf({ instance }: TraceBuffer): string {
  return instance === undefined ? '.' : join('instances', instance);
}

export function nameOf({ instance, snapshot }: TraceBuffer): string {
  return `${instance ?? 'the top level'}${snapshot ? ', its snapshot' : ''}`;
}

/** The whole text of a buffer. */
export function textOf(trace: Trace, buffer: TraceBuffer, options: TraceTextOptions = {}): string {
  const text = new TraceText(trace, buffer, readEvents(buffer), options);
  return text.header() + [...text.chunks()].join('');
}

/** How many events of each kind there are, by `SYSTEM/NAME`. */
export function countsOf(trace: Trace, buffer: TraceBuffer): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { type } of readEvents(buffer)) {
    const format = trace.formats.byId(type);
    const name = `${format?.system}/${format?.name}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** Compares texts of many lines; a message of `deepEqual` on them takes minutes. */
export function sameLines(found: string, expected: string, what: string): void {
  if (found === expected) return;
  const [ours, theirs] = [found.split('\n'), expected.split('\n')];
  const wrong = theirs.findIndex((line, index) => line !== ours[index]);
  assert.equal(ours[wrong], theirs[wrong], `${what}, line ${wrong + 1}`);
  assert.equal(ours.length, theirs.length, `${what}: lines`);
}

/** The lines of the events of a buffer. */
export function linesOf(trace: Trace, buffer: TraceBuffer, options: TraceTextOptions): string[] {
  const text = new TraceText(trace, buffer, readEvents(buffer), options);
  return [...text.chunks()].join('').split('\n');
}
