/**
 * Guests that no machine of the lab can have: encrypted ones, and CPUs that were never run. The words that tell of them are
 * written into the structures of a real host.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { isExhumeError } from '../../src/bytes/errors.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { findControlGuests } from '../../src/hypervisor/control/find.js';
import { findGuests } from '../../src/hypervisor/find.js';
import type { Guest } from '../../src/hypervisor/guest.js';
import { readVcpus, vendorVcpu } from '../../src/hypervisor/kvm/vcpus.js';
import { findVms } from '../../src/hypervisor/kvm/vms.js';
import { KernelView } from '../../src/kernel/kernel-view.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import type { Struct } from '../../src/kernel/types/struct.js';
import { openMachine } from '../../src/machine/open.js';
import { PatchedMemory } from '../../src/testing/patched-memory.js';
import { sceneDirectory } from '../directories.js';

/** A host's dump, words of which can be others. */
function hostOf(scene: string) {
  const container = openDumpFiles([join(sceneDirectory(scene), 'host.elf')]);
  const memory = new PatchedMemory(container.memory);
  const machine = openMachine({ ...container, memory });
  const kernel = selectKernel(openKernels(machine));
  const view = new KernelView(kernel);
  const { vms } = findVms(
    view,
    () => [],
    () => [],
    [],
  );
  const [vm] = vms;
  assert.ok(vm);
  const vcpus = readVcpus(view, vm, undefined, undefined, []).map(({ vcpu }) => vcpu);
  const [vcpu] = vcpus;
  assert.ok(vcpu);
  return {
    view,
    vm,
    vcpu,
    physical: (address: bigint): number => view.memory.translate(address as Struct['address']) ?? Number.NaN,
    write(struct: Struct, member: string, value: number): void {
      const bytes = new Uint8Array(struct.type.require(member).size);
      bytes[0] = value;
      memory.write(this.physical(struct.addressOf(member)), bytes);
    },
    memory,
    find: (): readonly Guest[] => findGuests({ container: { ...container, memory }, machine, kernel }).guests,
    findBare: () =>
      findControlGuests({ container: { ...container, memory }, machine, kernel: undefined })?.guests ?? [],
  };
}

function assertRefused(guests: readonly Guest[], how: string): void {
  const [guest, ...others] = guests;
  assert.ok(guest);
  assert.ok(guest.refused?.reason.includes(`(${how})`), `${how}: ${guest.refused?.reason}`);
  assert.throws(
    () => guest.container(),
    (error) => isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT'),
  );
  for (const { registers } of guest.cpus) assert.equal(registers, undefined);
  assert.ok(others.length > 0);
  for (const { refused } of others) assert.equal(refused, undefined);
}

const new72 = hostOf('host-7.2');
const old61 = hostOf('host-6.1');

for (const [number, how] of [
  [2, 'SEV'],
  [3, 'SEV-ES'],
  [4, 'SEV-SNP'],
  [5, 'TDX'],
] as const) {
  test(`a ${how} guest is named and refused, by the type that KVM gave it`, () => {
    new72.write(new72.vm, 'arch.vm_type', number);
    assertRefused(new72.find(), how);
    new72.memory.restore();
  });
}

test('a guest whose state is protected is refused where its kernel has no types of guests', () => {
  assert.equal(old61.vm.has('arch.vm_type'), false);
  old61.write(old61.vcpu, 'arch.guest_state_protected', 1);
  assertRefused(old61.find(), 'SEV-ES or TDX');
  old61.memory.restore();
});

for (const [bits, how] of [
  [2, 'SEV'],
  [6, 'SEV-ES'],
] as const) {
  test(`a ${how} guest is refused by its VMCB, with and without KVM's structures`, () => {
    const vmcb = vendorVcpu(old61.view, old61.vcpu)?.struct.pointer('vmcb') ?? 0n;
    const control = old61.physical(vmcb) + 0x90;
    const [old = 0] = old61.memory.bytes(control as never, 1);
    old61.memory.write(control, Uint8Array.of(old | bits));
    assertRefused(old61.find(), how);
    assert.equal(old61.findBare().filter(({ refused }) => refused?.reason.includes(`(${how})`)).length, 1);
    old61.memory.restore();
  });
}

test('a CPU that was never run, or waits to be started, has no registers, and it is said', () => {
  for (const host of [old61, new72]) {
    for (const [member, value] of [
      ['pid', 0],
      ['arch.mp_state', 1],
    ] as const) {
      host.write(host.vcpu, member, value);
      const [cpu] = host.find()[0]?.cpus ?? [];
      assert.deepEqual([cpu?.state, cpu?.registers, cpu?.source], ['not started', undefined, 'it was never run']);
      assert.ok(host.find()[0]?.container().notes !== undefined);
      host.memory.restore();
    }
  }
});
