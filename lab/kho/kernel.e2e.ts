/** A kernel of our own build, small and without modules: all that exhume tells of it, before the kexec and behind it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PsReport } from '../../src/report/schema/ps.js';
import type { Report } from '../../src/report/schema/report.js';
import { present, timed } from '../e2e/support.js';
import { NEXT, NEXT_TRUTH, OLD, OLD_TRUTH, SAID, TAKEN, TAKEN_TRUTH } from './names.js';
import { exhume, pathOf, said, told } from './support.js';

const DUMPS = [
  [OLD, OLD_TRUTH],
  [NEXT, NEXT_TRUTH],
  [TAKEN, NEXT_TRUTH],
] as const;

for (const [file, truth] of DUMPS) {
  test(`${file}: the report names the kernel, and nothing is damaged`, () => {
    const report = said<Report>('report', pathOf(file));
    // It was built without modules, and without counters of events.
    assert.deepEqual(report.damage.map(({ part }) => part).sort(), ['modules', 'vm_event_states']);
    const kernel = present(report.kernel);
    assert.equal(kernel.release, told(truth, 'release').trim());
    assert.equal(kernel.banner, told(truth, 'version').trim());
    assert.equal(kernel.commandLine, told(truth, 'cmdline').trim());
    assert.equal(present(report.crash).kind, 'none');
  });

  test(`${file}: symbols are the guest's own, line by line, but for ftrace's trampolines`, () => {
    assert.ok(
      exhume('sym', pathOf(file), '--list').stdout ===
        told(truth, 'kallsyms').replaceAll(/^.*\t\[__builtin__ftrace\]\n/gm, ''),
      'they differ',
    );
  });

  test(`${file}: the log begins with what the guest's dmesg said`, () => {
    const log = timed(exhume('log', pathOf(file)).stdout);
    const shown = timed(told(truth, 'dmesg'));
    assert.ok(shown.length > 100);
    assert.deepEqual(log.slice(0, shown.length), shown);
  });
}

test('the process that keeps the files is in the old kernel, and who jumps is in reboot()', () => {
  const { tasks } = said<PsReport>('ps', pathOf(OLD));
  assert.ok(tasks.some(({ comm }) => comm === 'lab keeper'));
  const { stdout } = exhume('bt', pathOf(OLD));
  assert.match(stdout, /machine_kexec[\s\S]*kernel_kexec[\s\S]*__do_sys_reboot/);
});

test('the heir of the files is in the next kernel', () => {
  const { tasks } = said<PsReport>('ps', pathOf(TAKEN));
  assert.ok(tasks.some(({ comm }) => comm === 'lab heir'));
});

test('what it said inside is said of the running kernel', () => {
  const report: Report = JSON.parse(told(TAKEN_TRUTH, SAID, 'report'));
  assert.equal(report.file.live, true);
  assert.equal(present(report.kernel).role, 'running');
});
