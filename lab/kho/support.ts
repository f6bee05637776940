/** What the tests of handovers share: the scene as the guest and exhume tell of it. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PhysicalMemory } from '../../src/dump/memory.js';
import type { Handover } from '../../src/handover/model.js';
import { findHandovers } from '../../src/handover/open.js';
import { openDumpFiles } from '../../src/hypervisor/node.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import { openMachine } from '../../src/machine/open.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { HANDOVER_SCENE } from './names.js';

export function pathOf(...path: readonly string[]): string {
  return join(sceneDirectory(HANDOVER_SCENE), ...path);
}

/** A file that the guest wrote, as text. */
export function told(...path: readonly string[]): string {
  return readFileSync(pathOf(...path), 'latin1');
}

/** A file that the guest wrote. */
export function bytesOf(...path: readonly string[]): Buffer {
  return readFileSync(pathOf(...path));
}

export interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs exhume. */
export function exhume(...words: readonly string[]): Answer {
  return spawnSync(process.execPath, [EXHUME, ...words], { encoding: 'utf8', maxBuffer: 1 << 28 });
}

/** Runs exhume, which must answer. */
export function said<T>(...words: readonly string[]): T {
  const { stdout, stderr } = exhume(...words, '--json');
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout);
}

export interface Opened {
  readonly memory: PhysicalMemory;
  readonly kernel: Kernel;
  readonly handovers: readonly Handover[];
}

/** A dump, through the library. */
export function opened(file: string): Opened {
  const path = pathOf(file);
  assert.ok(existsSync(path), `scene ${HANDOVER_SCENE} is missing: npm run lab:kho`);
  const machine = openMachine(openDumpFiles([path]));
  const kernel = selectKernel(openKernels(machine));
  const { memory } = machine.container;
  return { memory, kernel, handovers: findHandovers(memory, kernel) };
}

/** The handover in this direction. */
export function handoverOf({ handovers }: Pick<Opened, 'handovers'>, direction: Handover['direction']): Handover {
  const found = handovers.find((one) => one.direction === direction);
  assert.ok(found, `no ${direction} handover among ${handovers.length}`);
  return found;
}
