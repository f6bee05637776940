/**
 * An Intel host with a guest inside, out of Bochs (`npm run lab:intel`): what the module says of the processor, what the
 * processor left in memory, and what exhume makes of both, against what the guest itself said.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { physicalAddress } from '../../src/bytes/address.js';
import { isExhumeError } from '../../src/bytes/errors.js';
import type { Container } from '../../src/dump/container.js';
import { openDumpFiles } from '../../src/dump/node.js';
import { findControlGuests } from '../../src/hypervisor/control/find.js';
import { BOCHS_2_7 } from '../../src/hypervisor/control/layouts/bochs.js';
import { NestedMemory } from '../../src/hypervisor/control/nested-memory.js';
import { scanForControl } from '../../src/hypervisor/control/scan.js';
import { solveVmcs } from '../../src/hypervisor/control/solver.js';
import { chooseLayout } from '../../src/hypervisor/control/vmcs-consistency.js';
import { fieldEncoded } from '../../src/hypervisor/control/vmcs-fields.js';
import type { VmcsLayout } from '../../src/hypervisor/control/vmcs-layout.js';
import { vmcsinfoAt } from '../../src/hypervisor/control/vmcsinfo.js';
import { findGuests } from '../../src/hypervisor/find.js';
import type { GuestCpu } from '../../src/hypervisor/guest.js';
import { readVcpus } from '../../src/hypervisor/kvm/vcpus.js';
import { findVms } from '../../src/hypervisor/kvm/vms.js';
import { solveLayout } from '../../src/hypervisor/solve.js';
import { KernelView } from '../../src/kernel/kernel-view.js';
import { openKernels, selectKernel } from '../../src/kernel/open.js';
import { openMachine } from '../../src/machine/open.js';
import { buildGuests, guestsOf } from '../../src/report/guests.js';
import { buildReport } from '../../src/report/report.js';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import type { GuestsReport } from '../../src/report/schema/guests.js';
import { openSubject } from '../../src/report/subject.js';
import { PatchedMemory } from '../../src/testing/patched-memory.js';
import { Random } from '../../src/testing/random.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { run } from '../shell.js';
import { GUEST_CPUS, GUEST_PREFIX, INTEL_SCENE } from './names.js';

const directory = sceneDirectory(INTEL_SCENE);
const file = join(directory, 'host.raw');
const container = openDumpFiles([file], { format: 'raw' });
const subject = openSubject(container);
const console = readFileSync(join(directory, 'serial.log'), 'latin1').replaceAll('\r', '');
const scan = scanForControl(container.memory);

/** The guest's own words on its console. */
const guestConsole = console
  .split('\n')
  .filter((line) => line.startsWith(GUEST_PREFIX))
  .map((line) => line.slice(GUEST_PREFIX.length));

describe('the module on a processor with VMX', () => {
  const told = [...console.matchAll(/vmcsinfo: revision (0x[0-9a-f]+) has (\d+) fields/g)];

  it('finds the same whether KVM is there or not', () => {
    assert.equal(told.length, 2);
    assert.deepEqual(told[0]?.slice(1), told[1]?.slice(1));
    assert.equal(told[0]?.[1], '0x2b');
  });

  it('tells where its note is, and the note has every offset of the table', () => {
    const [, address = '', size = ''] = /@@ beside KVM ([0-9a-f]+) ([0-9a-f]+)/.exec(console) ?? [];
    const { layout, revision, damage } = vmcsinfoAt(
      container.memory,
      Number.parseInt(address, 16),
      Number.parseInt(size, 16),
    );
    assert.deepEqual(damage, []);
    assert.equal(revision, 0x2b);
    assert.equal(layout.accessRights, 'rotated');
    assert.equal(layout.offsets.size, Number(told[0]?.[2]));
    for (const [encoding, offset] of layout.offsets) {
      assert.equal(offset, BOCHS_2_7.offsets.get(encoding), `encoding ${encoding.toString(16)}`);
    }
  });

  it('leaves a note that is found in memory', () => {
    assert.equal(scan.vmcsinfo.length, 1);
  });
});

const machine = openMachine(container);
const kernel = selectKernel(openKernels(machine));
/** One for each of the guest's CPUs. */
const pages = scan.found.map(({ bytes }) => bytes);

/** Asserts that a layout has fields where Bochs' own source has them. */
function assertBochs(layout: VmcsLayout | undefined, fields: number): void {
  const offsets = layout?.offsets ?? new Map<number, number>();
  for (const [encoding, offset] of offsets) {
    assert.equal(offset, BOCHS_2_7.offsets.get(encoding), fieldEncoded(encoding)?.name);
  }
  assert.ok(offsets.size >= fields, `${offsets.size} fields`);
}

describe('the VMCSs in memory', () => {
  it('are one for each CPU, and have the layout of Bochs 2.7 with and without the note', () => {
    assert.equal(pages.length, GUEST_CPUS);
    for (const page of pages) {
      assert.equal(chooseLayout(page)?.fit.layout, BOCHS_2_7);
      assert.deepEqual(chooseLayout(page)?.fit.broken, []);
    }
  });

  it("tell their layout, with what KVM's structures know of them: it equals the table", () => {
    const { by, layout, witnesses } = solveLayout({ container, machine, kernel });
    assert.deepEqual([by, witnesses.length], ["KVM's structures", GUEST_CPUS]);
    assert.equal(layout?.accessRights, 'rotated');
    assertBochs(layout, 90);
  });

  it("tell their layout without KVM's structures: it equals the table", () => {
    const { by, layout, witnesses } = solveLayout({ container, machine, kernel: undefined });
    assert.deepEqual([by, witnesses.length], ['the pages alone', GUEST_CPUS]);
    assertBochs(layout, 70);
  });

  it('tell it alone', () => {
    for (const bytes of pages) assertBochs(solveVmcs([{ name: 'a page', bytes, known: new Map() }]).layout, 70);
  });
});

/** The dump as of a processor that nobody knows: fields are elsewhere in their pages, and there is no note. */
function unknownProcessor(): Container {
  const memory = new PatchedMemory(container.memory);
  for (const { address, bytes } of scan.found) memory.patch(address / PAGE, moved(bytes));
  const note = scan.vmcsinfo[0]?.layout.source ?? '';
  const at = Number.parseInt(/0x([0-9a-f]+)/.exec(note)?.[1] ?? '', 16);
  memory.patch(at / PAGE, new Uint8Array(PAGE));
  return { ...container, memory };
}

/** Every field but the header, further down by the same number of bytes; the last ones are the first then. */
function moved(page: Uint8Array): Uint8Array {
  const other = page.slice();
  const body = page.subarray(HEADER);
  other.set(body.subarray(body.length - MOVED), HEADER);
  other.set(body.subarray(0, body.length - MOVED), HEADER + MOVED);
  return other;
}

const ROUNDS = 20;
const PAGE = 4096;
const HEADER = 16;
/** What is behind the last field, so that none is torn apart. */
const MOVED = 0x40;

describe('a processor that nobody knows', () => {
  const dump = unknownProcessor();
  const stranger = openMachine(dump);
  const known = guestsOf(subject).guests;

  it("has its layout solved by itself, and its guest's registers are read by it", () => {
    const { guests, evidence } = findGuests({
      container: dump,
      machine: stranger,
      kernel: selectKernel(openKernels(stranger)),
    });
    assert.ok(evidence.some(({ method, accepted }) => accepted && method.startsWith('solved from KVM')));
    assert.ok(evidence.some(({ detail }) => detail === `none fits the VMCSs of ${GUEST_CPUS} vCPUs`));
    assert.deepEqual(
      guests.map(({ cpus }) => cpus.map(({ registers }) => registers)),
      known.map(({ cpus }) => cpus.map(({ registers }) => registers)),
    );
  });

  it('has its guest found without any structure of KVM', () => {
    const [guest] = findControlGuests({ container: dump, machine: stranger, kernel: undefined })?.guests ?? [];
    const [whole] = findControlGuests({ container, machine, kernel: undefined })?.guests ?? [];
    // Without its tag, which tells the order of the CPUs.
    assert.deepEqual(guest?.cpus.map(ripOf).sort(), whole?.cpus.map(ripOf).sort());
    assert.equal(guest?.cpus.length, GUEST_CPUS);
  });
});

describe('broken structures', () => {
  it(`of KVM in ${ROUNDS} ways: a layout is solved, or is not, and the guest is found in part, or not`, () => {
    const view = new KernelView(kernel);
    const kvm = findVms(
      view,
      () => [],
      () => [],
      [],
    ).vms[0];
    assert.ok(kvm);
    const places = readVcpus(view, kvm, undefined, undefined, []).map(
      ({ vcpu }) => view.memory.translate(vcpu.address) ?? 0,
    );
    const random = new Random(0x71);
    const memory = new PatchedMemory(container.memory);
    const dump = { container: { ...container, memory }, machine: openMachine({ ...container, memory }), kernel };
    let less = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (const place of [...places, ...scan.found.map(({ address }) => address)]) {
        const bytes = container.memory.bytes(physicalAddress(place), PAGE);
        random.mutate(bytes, 40);
        memory.write(place, bytes);
      }
      try {
        const { layout } = solveLayout({ ...dump, kernel: selectKernel(openKernels(dump.machine)) });
        for (const offset of layout?.offsets.values() ?? []) assert.ok(offset >= 0 && offset < PAGE);
        if (layout === undefined) less++;
      } catch (error) {
        if (!isExhumeError(error)) throw error;
        less++;
      }
      findGuests({ ...dump, kernel: selectKernel(openKernels(dump.machine)) });
      memory.restore();
    }
    assert.ok(less > 0, 'the damage hits something');
  });
});

describe('a note', () => {
  const known = guestsOf(subject);

  it("of the module in the host's memory is found by its symbol, and goes before the table", () => {
    assert.ok(known.evidence.some(({ method, accepted }) => accepted && method === 'the note of the module vmcsinfo'));
    for (const { source } of known.guests[0]?.cpus ?? []) assert.match(source, /layout VMCSINFO/);
  });

  it('that is given goes before both, with --guest and with --extract', () => {
    const directory = mkdtempSync(join(tmpdir(), 'exhume-intel-'));
    try {
      const note = join(directory, 'note');
      const exhume = (...args: string[]): string => run(process.execPath, [EXHUME, ...args, '--raw-memory']).stdout;
      exhume('guests', file, '--solve', '--as', 'note', '-o', note);
      const guests = JSON.parse(exhume('guests', file, '--vmcsinfo', note, '--json')) as GuestsReport;
      assert.ok(guests.evidence.some(({ method, accepted }) => accepted && method === 'VMCSINFO note'));
      const plain = exhume('regs', file, '--guest', '0');
      assert.equal(exhume('regs', file, '--guest', '0', '--vmcsinfo', note), plain);
      // A note that tells another place for RSP is believed.
      const text = exhume('guests', file, '--solve', '--as', 'vmcsinfo');
      const rip = /FIELD\(GUEST_RIP\)=(\w+)/.exec(text)?.[1] ?? '';
      writeFileSync(note, text.replace(/FIELD\(GUEST_RSP\)=\w+/, `FIELD(GUEST_RSP)=${rip}`));
      assert.notEqual(exhume('regs', file, '--guest', '0', '--vmcsinfo', note), plain);
      const out = join(directory, 'guest');
      exhume('guests', file, '--extract', '0', '-o', out, '--vmcsinfo', note);
      const extracted = (path: string, ...more: string[]): unknown =>
        (JSON.parse(exhume('regs', path, '--json', ...more)) as RegsReport).cpus.map(({ registers }) => registers);
      assert.deepEqual(
        (JSON.parse(run(process.execPath, [EXHUME, 'regs', out, '--json']).stdout) as RegsReport).cpus.map(
          ({ registers }) => registers,
        ),
        extracted(file, '--guest', '0', '--vmcsinfo', note),
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

function ripOf({ registers }: GuestCpu): bigint | undefined {
  return registers?.general.get('rip');
}

function generalOf({ registers }: GuestCpu): unknown {
  return [...(registers?.general ?? [])].sort();
}

describe('the guest', () => {
  const guests = guestsOf(subject);

  it("is found by KVM's structures, and its EPT leads where the memory slots do", () => {
    const report = buildGuests(subject, { pages: true });
    const [guest] = report.guests;
    assert.equal(report.guests.length, 1);
    assert.equal(guest?.name, 'intel-guest');
    assert.ok((guest.pages?.nested?.same ?? 0) > 10_000);
    assert.equal(guest.pages?.nested?.different, 0);
    assert.equal(guest.pages?.nested?.nestedOnly, 0);
  });

  it('was dumped from outside, with its VMCSs still on the processor: it is said of each', () => {
    for (const { stale } of guests.guests[0]?.cpus ?? [])
      assert.match(stale ?? '', /^its VMCS was still loaded on CPU 0/);
    assert.equal(guests.guests[0]?.cpus.length, GUEST_CPUS);
  });

  it('died as it said itself', () => {
    const [guest] = guests.guests;
    assert.ok(guest);
    const report = buildReport(openSubject(guest.container()), { bytes: 0, logLines: 10 });
    const shown = JSON.stringify(report);
    assert.match(shown, /sysrq triggered crash/);
    const release = /hello from the guest: (\S+)/.exec(guestConsole.join('\n'))?.[1] ?? 'none';
    assert.ok(shown.includes(release));
  });

  it('has the same registers and memory without any structure of KVM', () => {
    const [bare] = findControlGuests({ container, machine, kernel: undefined })?.guests ?? [];
    const [full] = guests.guests;
    assert.ok(bare && full);
    assert.deepEqual(bare.cpus.map(generalOf), full.cpus.map(generalOf));
    assert.ok(bare.memory instanceof NestedMemory);
    let same = 0;
    for (const { start, end } of bare.memory.ranges()) {
      for (let pfn = start / 4096; pfn < end / 4096; pfn += 97) {
        assert.deepEqual(bare.memory.page(pfn as never), full.memory.page(pfn as never));
        same++;
      }
    }
    assert.ok(same > 100);
  });
});
