/** Guests in the dump of a host whose structures are broken: found by another way, or told to be missing; never a hang. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pfn } from '../../src/bytes/address.js';
import { isExhumeError } from '../../src/bytes/errors.js';
import type { MissingState } from '../../src/dump/memory.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { findGuests, type GuestSearch } from '../../src/hypervisor/find.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import type { SymbolTable } from '../../src/kernel/symbols.js';
import { openMachine } from '../../src/machine/open.js';
import { PatchedMemory } from '../../src/testing/patched-memory.js';
import { Random } from '../../src/testing/random.js';
import { sceneDirectory } from '../directories.js';

const ROUNDS = 150;

/** A memory that notes which of its pages are read. */
class WatchedMemory extends PatchedMemory {
  readonly seen = new Set<number>();

  override page(pfn: Pfn): Uint8Array | MissingState {
    this.seen.add(pfn);
    return super.page(pfn);
  }
}

const container = openDumpFiles([join(sceneDirectory('host-6.1'), 'host.elf')]);
const memory = new WatchedMemory(container.memory);
const machine = openMachine({ ...container, memory });
const kernel = selectKernel(openKernels(machine));

function search(changed: Kernel): GuestSearch {
  return findGuests({ container, machine, kernel: changed });
}

const whole = search(kernel);

function told({ guests }: GuestSearch): unknown[] {
  return guests.map(({ name, process, cpus, memory: own }) => [
    name,
    process?.pid,
    cpus.map(({ registers }) => registers?.general.get('rip')),
    own.ranges(),
  ]);
}

test('without vm_list guests are found by the files that processes have open', () => {
  const symbols: SymbolTable = Object.create(kernel.symbols, {
    address: { value: (name: string) => (name === 'vm_list' ? undefined : kernel.symbols.address(name)) },
  });
  const found = search({ ...kernel, symbols });
  assert.equal(found.guests.length, 2);
  assert.deepEqual(told(found).sort(), told(whole).sort());
  assert.ok(found.evidence.some(({ method, accepted }) => accepted && method.includes('kvm-vm')));
});

test(`broken in ${ROUNDS} ways, they are found in part, or not, and say so`, () => {
  memory.seen.clear();
  search(kernel);
  const pages = [...memory.seen];
  assert.ok(pages.length > 50);
  const random = new Random(66);
  let less = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = random.below(8); i >= 0; i--) {
      const pfn = pages[random.below(pages.length)] as number;
      const page = container.memory.page(pfn as Pfn);
      if (typeof page === 'string' || random.below(6) === 0) {
        memory.patch(pfn, 'excluded');
        continue;
      }
      const broken = page.slice();
      const view = new DataView(broken.buffer);
      for (let word = random.below(64); word >= 0; word--) {
        const value =
          random.below(3) === 0 ? 0n : (BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32));
        view.setBigUint64(random.below(512) * 8, value, true);
      }
      memory.patch(pfn, broken);
    }
    const found = search(kernel);
    if (found.guests.length < whole.guests.length) less++;
    for (const guest of found.guests) look(guest);
    memory.restore();
  }
  assert.ok(less < ROUNDS, 'the damage hits something');
});

/** What commands do with a guest, as far as it does not depend on its kernel. */
function look(guest: GuestSearch['guests'][number]): void {
  try {
    const own = openMachine(guest.container());
    const states = new Uint8Array(4096);
    for (const { start, end } of own.memory.ranges().slice(0, 8)) {
      own.memory.states(start / 4096, states.subarray(0, Math.min(4096, (end - start) / 4096)));
      own.memory.page((start / 4096) as Pfn);
    }
  } catch (error) {
    if (!isExhumeError(error)) throw error;
  }
}
