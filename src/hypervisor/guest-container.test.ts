import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExhumeError } from '../bytes/errors.js';
import { openMachine } from '../machine/open.js';
import { containerOf, loadFixture } from '../machine/testing/node.js';
import { qemuCpuKind } from '../machine/x86-64/cpus.js';
import type { GuestCpu, GuestParts } from './guest.js';
import { makeGuests, nestedCpus } from './guest-container.js';

/** A dump's machine as if it had been found as a guest. */
function guestOf(
  name: string,
  change: Partial<GuestParts> = {},
): { parts: GuestParts; original: ReturnType<typeof openMachine> } {
  const original = openMachine(loadFixture(name).container);
  const cpus = original.cpus.map(
    ({ index, registers, segments, control }): GuestCpu => ({
      index,
      state: 'running',
      registers: registers && control && { general: registers, segments, control },
      source: 'a fixture',
      damage: [],
    }),
  );
  const parts: GuestParts = {
    name: 'guest0',
    how: 'kvm structures',
    cpus,
    memory: original.memory,
    evidence: [],
    damage: [],
    ...change,
  };
  return { parts, original };
}

function machineOf(parts: GuestParts): ReturnType<typeof openMachine> {
  const [guest] = makeGuests([parts], containerOf({}));
  assert.ok(guest);
  return openMachine(guest.container());
}

describe('a guest as a dump', () => {
  it('has the registers that it was made of, under all their names', () => {
    const { parts, original } = guestOf('linux-7.2');
    const machine = machineOf(parts);
    assert.equal(machine.cpus.length, original.cpus.length);
    for (const [i, cpu] of machine.cpus.entries()) {
      const was = original.cpus[i];
      assert.ok(was);
      assert.deepEqual(cpu.registers, was.registers);
      assert.deepEqual(cpu.segments, was.segments);
      assert.deepEqual(cpu.control, was.control);
      assert.equal(cpu.mode, was.mode);
    }
    assert.equal(machine.creator, 'qemu');
  });

  it('keeps the place of a CPU without registers', () => {
    const { parts } = guestOf('linux-7.2');
    const [first] = parts.cpus;
    assert.ok(first);
    const bare: GuestCpu = { ...first, index: 1, state: 'not started', registers: undefined };
    const machine = machineOf({ ...parts, cpus: [first, bare] });
    assert.equal(machine.cpus.length, 2);
    assert.equal(machine.cpus[1]?.mode, 'firmware');
    assert.equal(machine.cpus[0]?.registers?.get('rip'), first.registers?.general.get('rip'));
  });

  it('has notes that say what the CPU ran', () => {
    const { parts } = guestOf('linux-7.2');
    const [guest] = makeGuests([parts], containerOf({}));
    const notes = guest?.container().notes.filter(({ name }) => name === 'QEMU') ?? [];
    assert.ok(notes.length > 0);
    for (const note of notes) assert.equal(qemuCpuKind(note), 'word64');
  });

  it('says why it is none when it is refused', () => {
    const { parts } = guestOf('linux-7.2', {
      refused: { code: 'EXH_UNSUPPORTED_FORMAT', reason: 'its memory is encrypted', hint: 'dump it from inside' },
    });
    assert.throws(
      () => machineOf(parts),
      (error) =>
        error instanceof ExhumeError && error.code === 'EXH_UNSUPPORTED_FORMAT' && /encrypted/.test(error.message),
    );
  });

  it('keeps what its own guest ran on a CPU, beside what the CPU was to itself', () => {
    const { parts, original } = guestOf('linux-7.2');
    const [first] = parts.cpus;
    assert.ok(first?.registers);
    const nested = { ...first.registers, general: new Map(first.registers.general).set('rip', 0x1234n) };
    const [guest] = makeGuests([{ ...parts, cpus: [{ ...first, nested }] }], containerOf({}));
    assert.ok(guest);
    const machine = openMachine(guest.container());
    assert.equal(machine.cpus.length, 1);
    assert.deepEqual(machine.cpus[0]?.registers, original.cpus[0]?.registers);
    const [inner, ...others] = nestedCpus(guest.container());
    assert.deepEqual(others, []);
    assert.equal(inner?.index, 0);
    assert.equal(inner?.registers?.get('rip'), 0x1234n);
    assert.equal(inner?.control?.get('cr3'), first.registers.control.get('cr3'));
    assert.deepEqual(nestedCpus(original.container), []);
  });

  it('is made once', () => {
    const { parts } = guestOf('linux-7.2');
    const [guest] = makeGuests([parts], containerOf({}));
    assert.equal(guest?.container(), guest?.container());
  });
});
