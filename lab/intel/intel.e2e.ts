/**
 * An Intel host with a guest inside, out of Bochs (`npm run lab:intel`): what the module says of the processor, what the
 * processor left in memory, and what exhume makes of both, against what the guest itself said.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openDumpFiles } from '../../src/dump/node.js';
import { findControlGuests } from '../../src/hypervisor/control/find.js';
import { BOCHS_2_7 } from '../../src/hypervisor/control/layouts/bochs.js';
import { NestedMemory } from '../../src/hypervisor/control/nested-memory.js';
import { scanForControl } from '../../src/hypervisor/control/scan.js';
import { solveLayout } from '../../src/hypervisor/control/solver.js';
import { chooseLayout } from '../../src/hypervisor/control/vmcs-consistency.js';
import { vmcsinfoAt } from '../../src/hypervisor/control/vmcsinfo.js';
import { buildGuests, guestsOf } from '../../src/report/guests.js';
import { buildReport } from '../../src/report/report.js';
import { openSubject } from '../../src/report/subject.js';
import { sceneDirectory } from '../directories.js';
import { GUEST_PREFIX, INTEL_SCENE } from './names.js';

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

describe('the VMCS in memory', () => {
  it('is one, and has the layout of Bochs 2.7 with and without the note', () => {
    assert.equal(scan.found.length, 1);
    const [{ bytes }] = scan.found as [(typeof scan.found)[number]];
    assert.equal(chooseLayout(bytes)?.fit.layout, BOCHS_2_7);
    assert.deepEqual(chooseLayout(bytes)?.fit.broken, []);
  });

  it('tells its layout itself: what the solver finds equals the table', () => {
    const [{ bytes }] = scan.found as [(typeof scan.found)[number]];
    const solved = solveLayout(bytes);
    assert.ok((solved?.offsets.size ?? 0) >= 30);
    for (const [encoding, offset] of solved?.offsets ?? []) {
      assert.equal(offset, BOCHS_2_7.offsets.get(encoding), `encoding ${encoding.toString(16)}`);
    }
  });
});

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
    assert.equal(typeof subject.machine === 'object' && 'cpus' in subject.machine, true);
    const machine = 'cpus' in subject.machine ? subject.machine : undefined;
    const [bare] = findControlGuests({ container, machine, kernel: undefined })?.guests ?? [];
    const [full] = guests.guests;
    assert.ok(bare && full);
    assert.deepEqual(
      [...(bare.cpus[0]?.registers?.general ?? [])].sort(),
      [...(full.cpus[0]?.registers?.general ?? [])].sort(),
    );
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
