import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InfoReport } from '../../src/report/schema/info.js';
import type { Report } from '../../src/report/schema/report.js';
import { account, exhume, exhumeJson, type LabDump, labDumps, present } from './support.js';

const dumps = labDumps();
/** A signed hexadecimal string as a number, whatever its form. */
const signed = (text: string | null | undefined): bigint | undefined => {
  const [, sign, digits] = /^(-?)(0x[0-9a-f]+)$/.exec(text ?? '') ?? [];
  return digits === undefined ? undefined : BigInt(digits) * (sign === '-' ? -1n : 1n);
};

for (const dump of dumps.filter(({ truth }) => truth.kernelRelease !== null)) {
  test(`${dump.title}: the report names the kernel, where it was loaded, its levels of paging and why it died`, () => {
    const { status, answer } = exhumeJson<Report>(dump, 'report');
    const { truth } = dump;
    const kernel = present(answer.kernel);
    const crash = present(answer.crash);
    assert.equal(kernel.release, truth.kernelRelease);
    assert.equal(signed(kernel.physBase), signed(truth.physBase), 'phys_base');
    assert.equal(signed(kernel.kaslrOffset), signed(truth.kernelOffset), 'KASLR offset');
    if (truth.fiveLevelPaging !== null) assert.equal(kernel.pageTableLevels, truth.fiveLevelPaging ? 5 : 4);
    if (!dump.cutOff) {
      assert.equal(kernel.commandLine, account(dump, 'cmdline').trim());
      assert.equal(kernel.banner, truth.kernelVersion);
      assert.deepEqual(answer.damage, []);
      assert.equal(status, 0);
    } else {
      assert.equal(status, 1, 'a cut-off dump is answered in part');
      assert.ok(answer.file.incomplete);
    }
    const died = truth.ending === 'death' && truth.panicMessage !== null;
    if (truth.ending === 'panic' || truth.ending === 'kdump' || died) {
      assert.equal(kernel.role, 'crashed');
      if (!dump.cutOff) assert.equal(crash.panicMessage, truth.panicMessage);
    } else {
      assert.equal(kernel.role, 'running');
      assert.equal(crash.panicMessage, null);
    }
  });
}

test('a dump taken while the capture kernel ran holds two kernels, and --kernel chooses', () => {
  const dump = named('kdump/dump.elf');
  const { answer } = exhumeJson<Report>(dump, 'report');
  assert.deepEqual(
    answer.kernels.map(({ role }) => role),
    ['crashed', 'capture'],
  );
  const capture = exhumeJson<Report>(dump, 'report', '--kernel', '1').answer;
  assert.equal(present(capture.kernel).commandLine, account(dump, 'capture-cmdline').trim());
  assert.equal(present(capture.kernel).kaslrOffset, '0x0', 'it was started with nokaslr');
  assert.equal(exhume(dump, 'report', '--kernel', '2').status, 2);
});

test('a machine in its firmware has no kernel, and the report says how it was looked for', () => {
  for (const file of ['firmware/dump.elf', 'firmware/dump.flat']) {
    const { status, answer } = exhumeJson<Report>(named(file), 'report');
    assert.equal(status, 1);
    assert.ok('absent' in answer.kernel);
    assert.deepEqual(
      present(answer.cpus).map(({ mode }) => mode),
      ['firmware', 'firmware'],
    );
    assert.ok(answer.evidence.some(({ method, accepted }) => !accepted && method === 'scan of the whole memory'));
  }
});

test('a CPU that was never started is told from the one that died', () => {
  const { answer } = exhumeJson<Report>(named('maxcpus1/dump.elf'), 'report');
  assert.deepEqual(
    present(answer.cpus).map(({ mode }) => mode),
    ['kernel', 'firmware'],
  );
});

test('guests that hang in user mode are caught there', () => {
  for (const dump of dumps.filter(({ truth }) => truth.ending === 'hung')) {
    const { answer } = exhumeJson<Report>(dump, 'report');
    if (dump.title.endsWith('.raw')) continue;
    assert.deepEqual(
      present(answer.cpus).map(({ mode }) => mode),
      ['user', 'user'],
      dump.title,
    );
  }
});

test('guests that hang in the kernel: where each CPU hangs, and the soft lockup that the log tells of', () => {
  const stuck = dumps.filter(({ truth }) => truth.ending === 'stuck');
  assert.ok(stuck.length > 0);
  for (const dump of stuck) {
    const { answer } = exhumeJson<Report>(dump, 'report');
    const crash = present(answer.crash);
    assert.equal(crash.kind, 'soft-lockup', dump.title);
    assert.equal(crash.cpu, 0, dump.title);
    assert.match(crash.reason, /^soft lockup: CPU 0 stuck for \d+s/);
    assert.match(answer.headline, /was dumped alive after this: soft lockup/);
    const [waiting, spinning] = present(answer.cpus);
    assert.equal(waiting?.mode, 'kernel');
    // It waits for the other one over and over: in between it may be anywhere on its way.
    assert.match(waiting?.symbol ?? '', /^\w+\+0x/);
    assert.equal(spinning?.mode, 'kernel');
    assert.match(spinning?.symbol ?? '', /^(dummy_cleanup_module|cleanup_module)\+.* \[dummy\]$/);
    const flags = present(spinning?.registers ?? { absent: 'no CPU', code: null, hint: null });
    const rflags = flags.find(({ name }) => name === 'rflags')?.value ?? '0x200';
    assert.equal(BigInt(rflags) & 0x200n, 0n, 'interrupts are off');
  }
});

test('there are dumps of five levels of paging, and of four', () => {
  assert.deepEqual(new Set(dumps.map(({ truth }) => truth.fiveLevelPaging)), new Set([true, false, null]));
});

test("QEMU's wrong phys_base in a kdump header is shown and not used", () => {
  const { answer } = exhumeJson<InfoReport>(named('panic-7.2/dump.kdump'), 'info');
  const claims = answer.evidence.filter(({ question }) => question === 'phys_base');
  assert.deepEqual(claims.filter(({ accepted }) => accepted).length, 3);
  assert.match(claims.find(({ accepted }) => !accepted)?.detail ?? '', /decimal number as hexadecimal/);
});

function named(title: string): LabDump {
  const dump = dumps.find((candidate) => candidate.title === title);
  assert.ok(dump, `${title} is not among the dumps`);
  return dump;
}
