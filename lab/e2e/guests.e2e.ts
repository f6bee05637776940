/** Guests inside the dump of their host, compared with what their own QEMU and their consoles said of them. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BtReport, StackReport } from '../../src/report/schema/bt.js';
import type { RegsReport } from '../../src/report/schema/cpu.js';
import type { GuestsReport } from '../../src/report/schema/guests.js';
import type { PsReport } from '../../src/report/schema/ps.js';
import { sceneDirectory } from '../directories.js';
import { EXHUME } from '../exhume.js';
import { HOSTS, type Host, type InnerGuest, uuidOf } from '../hosts.js';
import { vmlinux } from '../kernels.js';
import { makedumpfileCommand } from '../makedumpfile.js';
import { CRASH_MINIMAL, crash, crashLog, drgnLog, drgnWalks } from '../peers.js';
import { run } from '../shell.js';
import { convert, memoryOf, said, scratchDirectory } from './conversions.js';
import { comparePages } from './pages.js';
import { assertRegisters } from './registers.js';
import { present, timed } from './support.js';

const scratch = scratchDirectory();

/** After its QEMU dumped it, a guest that went on wrote this many pages at most before its host died: its stacks and clocks. */
const PAGES_OF_A_MOMENT = 400;

function extract(file: string, guest: string, out: string, ...options: readonly string[]): void {
  run(process.execPath, [EXHUME, 'guests', file, '--extract', guest, '-o', out, ...options], { accept: [0, 1] });
}

/** Tasks without how long they ran. */
function tasksOf(file: string): unknown[] {
  const { tasks } = said('ps', [file]) as PsReport;
  return tasks.map(({ pid, ppid, comm, task, state, kernelThread }) => ({
    pid,
    ppid,
    comm,
    task,
    state,
    kernelThread,
  }));
}

/** Names and addresses of all stacks' frames. */
function stacksOf(file: string): Map<number | string, string[]> {
  const { stacks } = said('bt', [file], '--all') as BtReport;
  // Each CPU has a task 0 of its own.
  const key = ({ pid, task }: StackReport): number | string => (pid === 0 ? task : pid);
  return new Map(
    stacks.map((stack) => [
      key(stack),
      stack.frames.map(({ kind, symbol, offset, address, sp }) =>
        kind === 'user' ? 'user' : `${symbol ?? address}+${offset} at ${sp}`,
      ),
    ]),
  );
}

/** What they are after a CPU went on: from there on outwards, where it stood before. */
function settled(frames: readonly string[], ending: InnerGuest['ending']): readonly string[] {
  if (ending === 'hung') return frames.slice(-1);
  return frames.slice(frames.findIndex((frame) => frame.startsWith('panic+')) + 1);
}

for (const host of HOSTS.filter(({ elfOnly }) => !elfOnly)) {
  const directory = sceneDirectory(host.name);
  // Of one that was not asked there is nothing to compare with.
  for (const guest of host.guests.filter(({ unasked }) => !unasked)) testGuest(host, guest, directory);
  testFiltered(host, directory);
  test(`${host.name}: its guests are found with their processes and CPUs`, () => {
    const { guests } = said('guests', [join(directory, 'host.elf')]) as GuestsReport;
    const stat = readFileSync(join(directory, 'stat'), 'latin1');
    const found = guests.map(({ name, process, cpus }) => [name, process?.uuid, cpus.length]).sort();
    assert.deepEqual(found, host.guests.map((guest) => [guest.name, uuidOf(guest), guest.cpus]).sort());
    for (const { process } of guests) assert.match(stat, new RegExp(`^${process?.pid} \\(qemu-system-x86\\) `, 'm'));
  });
  test(`${host.name}: the host itself is read as ever`, () => {
    const { stdout } = run(process.execPath, [EXHUME, 'log', join(directory, 'host.elf')]);
    assert.deepEqual(timed(stdout), timed(readFileSync(join(directory, 'serial.log'), 'latin1')));
  });
}

/**
 * On 7.2 makedumpfile takes first tail pages of slabs for user data (docs/filtering.md): parts of KVM's own structures are
 * not there, and of those vCPUs only what the processor kept.
 */
function testFiltered(host: Host, directory: string): void {
  test(`${host.name}: makedumpfile -d 31 leaves each guest its registers, and no memory: it is no dump of its own`, () => {
    const filtered = join(directory, 'host.d31.kdump');
    const whole = (said('guests', [join(directory, 'host.elf')]) as GuestsReport).guests;
    const { stdout } = run(process.execPath, [EXHUME, 'guests', '--json', filtered], { accept: [1] });
    const { guests, damage, complete } = JSON.parse(stdout) as GuestsReport;
    assert.equal(complete, false);
    const known = (list: GuestsReport['guests']): [unknown, number][] =>
      list.map(({ process, cpus }): [unknown, number] => [process?.pid, cpus.length]).sort();
    // Which parts of 7.2's structures are gone is a matter of where they lay.
    if (host.kernel === '6.1') assert.deepEqual(known(guests), known(whole));
    else assert.ok(guests.length > 0 && guests.length <= whole.length && guests.some(({ cpus }) => cpus.length > 0));
    const originals = whole.flatMap(({ name }) =>
      registersOf(said('regs', [join(directory, 'host.elf')], '--guest', name) as RegsReport),
    );
    for (const { name, index, cpus, memoryBytes } of guests) {
      const told = damage.find(({ part }) => part === `guest ${name}: memory`)?.message ?? '';
      const slots = damage.some(
        ({ code, part }) => code === 'EXH_PAGE_EXCLUDED' && part === `guest ${name}: memory slots`,
      );
      // Where its memory would be is told by structures that may be gone, too.
      const nowhere = host.kernel !== '6.1' && slots && memoryBytes === 0;
      if (!nowhere) assert.match(told, /^user pages were left out .*-d 23 keeps them/);
      const here = registersOf(said('regs', [filtered], '--guest', `index:${index}`) as RegsReport);
      assert.equal(here.length, cpus.length);
      for (const [cpu, kept] of here.entries()) {
        // KVM's own RIP may be one instruction further than the processor's.
        const partly = cpus[cpu]?.stale !== null;
        const same = [...kept].filter(([register]) => !partly || register !== 'rip');
        assert.ok(same.length > 10, `${name} ${cpu}`);
        const original = originals.find((all) => same.every(([register, value]) => all.get(register) === value));
        assert.ok(original !== undefined && (partly || original.size === kept.size), `${name} ${cpu}`);
      }
      const out = join(scratch, `${name}.none`);
      const refused = run(process.execPath, [EXHUME, 'guests', filtered, '--extract', name, '-o', out], {
        accept: [4],
      });
      assert.match(refused.stderr, nowhere ? /describes no memory/ : /EXH_PAGE_EXCLUDED: .*-d 23 keeps them/);
      assert.equal(existsSync(out), false);
    }
  });
}

/** Of each CPU its general and control registers. */
function registersOf({ cpus }: RegsReport): ReadonlyMap<string, string>[] {
  return cpus.map(
    ({ registers, control }) => new Map([...present(registers), ...control].map(({ name, value }) => [name, value])),
  );
}

function testGuest(host: Host, guest: InnerGuest, directory: string): void {
  const title = `${host.name}: ${guest.name}`;
  const file = join(directory, 'host.elf');
  const dump = join(directory, `${guest.name}.elf`);
  const text = (suffix: string): string => readFileSync(join(directory, `${guest.name}.${suffix}`), 'latin1');
  const out = join(scratch, `${guest.name}.vmcore`);
  const extracted = (): string => {
    if (!existsSync(out)) extract(file, guest.name, out, '--format', 'elf');
    return out;
  };
  const stopped = guest.after === 'stopped';

  test(`${title}: extracted, it is the memory that its own QEMU dumped`, () => {
    const { same, other, missing } = comparePages(memoryOf([extracted()]), memoryOf([dump]));
    assert.deepEqual(missing, []);
    assert.ok(other.length <= (stopped ? 0 : PAGES_OF_A_MOMENT), `${other.length} pages differ: ${other.slice(0, 20)}`);
    assert.ok(same > (guest.megabytes << 8) * 0.9, `${same} pages compared`);
  });

  test(`${title}: its log is what its console showed`, () => {
    const { stdout } = run(process.execPath, [EXHUME, 'log', '--guest', guest.name, file]);
    const shown = timed(text('serial'));
    assert.ok(shown.length > 100);
    assert.deepEqual(timed(stdout), shown);
    assert.deepEqual(timed(run(process.execPath, [EXHUME, 'log', extracted()]).stdout), shown);
  });

  test(`${title}: its tasks and stacks are those in the dump of its own QEMU`, () => {
    const tasks = tasksOf(dump);
    assert.ok(tasks.length > 30);
    assert.deepEqual(tasksOf(extracted()), tasks);
    const theirs = stacksOf(dump);
    const ours = stacksOf(extracted());
    assert.deepEqual([...ours.keys()], [...theirs.keys()]);
    for (const [pid, frames] of theirs) {
      const own = ours.get(pid) ?? [];
      if (stopped || own.join() === frames.join()) assert.deepEqual(own, frames, `stack of ${pid}`);
      else assert.deepEqual(settled(own, guest.ending), settled(frames, guest.ending), `stack of ${pid}`);
    }
  });

  test(`${title}: its registers are what its own QEMU said`, () => {
    const answer = said('regs', [extracted()]) as RegsReport;
    // Who went on is elsewhere, in the same kernel.
    if (stopped) assertRegisters(answer, text('registers'));
    else assertRegisters(answer, text('registers'), ['cr0', 'cr4']);
  });

  test(`${title}: every command reads it inside its host's dump as outside`, () => {
    for (const command of ['ps', 'regs', 'mod', 'mount'])
      assert.deepEqual(said(command, [file], '--guest', guest.name), said(command, [extracted()]), command);
  });

  test(`${title}: drgn, crash and makedumpfile open it`, () => {
    const out = extracted();
    const symbols = vmlinux(guest.kernel === '6.1' ? '6.1' : '7.2');
    const shown = timed(text('serial'));
    const log = timed(drgnLog(out, symbols));
    assert.ok(log.length > 100 && log.every((line) => shown.includes(line)), 'the log of drgn');
    const walked = JSON.parse(drgnWalks(out, symbols, [], true)) as { tasks: { pid: number; comm: string }[] };
    const { tasks } = said('ps', [out]) as PsReport;
    const named = (list: readonly { pid: number; comm: string }[]): string[] =>
      list.filter(({ pid }) => pid > 0).map(({ pid, comm }) => `${pid} ${comm}`);
    assert.deepEqual(named(walked.tasks).sort(), named(tasks).sort(), 'the tasks of drgn');
    const asked = ['ps', 'bt -a'];
    if (guest.kernel === '6.1') {
      const answers = crash('forky', out, symbols, asked);
      // The dump of its own QEMU is of the same moment.
      if (stopped) assert.equal(answers, crash('forky', dump, symbols, asked), 'crash, on both dumps');
      for (const line of named(tasks)) assert.ok(answers.includes(line.replace(/^\d+ /, '')), `crash: ${line}`);
      if (guest.ending === 'panic') assert.match(answers, /panic/);
    } else {
      // Of 7.2 crash opens no more than the log.
      const told = timed(crashLog(out, symbols, CRASH_MINIMAL));
      assert.ok(told.length > 100 && told.every((line) => shown.includes(line)), 'the log of crash');
    }
    const told = join(scratch, `${guest.name}.dmesg`);
    const dmesg = makedumpfileCommand('forky', scratch, ['--dump-dmesg', '-f', out, told]);
    run(dmesg.command, dmesg.args);
    // It tells who wrote each line: `[    0.000000] [      T0] Linux version …`.
    const lines = timed(readFileSync(told, 'latin1')).map((line) => line.replace(/^(\[[^\]]*\]) \[ *[TC]\d+\]/, '$1'));
    assert.ok(lines.length > 100 && lines.every((line) => shown.includes(line)), 'the log of makedumpfile');
    rmSync(told);
  });

  test(`${title}: the host's compressed dump has the same guest, and one without zero, cache and free pages, too`, () => {
    const whole = memoryOf([extracted()]);
    for (const name of ['host.kdump', 'host.d23.kdump']) {
      const again = join(scratch, `${guest.name}.again`);
      extract(join(directory, name), guest.name, again, '--format', 'elf');
      const { same, other, missing } = comparePages(memoryOf([again]), whole);
      assert.deepEqual([other, missing.length > (name === 'host.kdump' ? 0 : guest.megabytes << 7)], [[], false], name);
      assert.ok(same > 0);
      rmSync(again);
    }
  });

  test(`${title}: of a host's dump without the pages of processes there are its registers, and what would have kept it`, () => {
    // On 7.2 makedumpfile takes pages of slabs for user data, and KVM's structures are in slabs: docs/filtering.md.
    const filtered = host.kernel === '6.1' ? join(directory, 'host.d31.kdump') : join(scratch, `${guest.name}.d31`);
    if (host.kernel !== '6.1') convert(file, filtered, '-d', '31');
    const { guests } = said('guests', [filtered]) as GuestsReport;
    // Its name is in a page of its process.
    const found = guests.find(({ process }) => process?.pid === pidOf(file, guest));
    assert.ok(found);
    const answer = said('regs', [filtered], '--guest', found.name) as RegsReport;
    assert.deepEqual(valuesOf(answer), valuesOf(said('regs', [extracted()]) as RegsReport));
    const { stderr } = run(process.execPath, [EXHUME, 'guests', filtered], { accept: [1] });
    assert.match(stderr, new RegExp(`${found.name}: memory: user pages were left out .*-d 23 keeps them`));
  });
}

function pidOf(file: string, guest: InnerGuest): number | undefined {
  const { guests } = said('guests', [file]) as GuestsReport;
  return guests.find(({ name }) => name === guest.name)?.process?.pid;
}

/** Without the symbols that they point to. */
function valuesOf({ cpus }: RegsReport): unknown {
  return cpus.map(({ registers, control }) =>
    [...present(registers), ...control].map(({ name, value }) => `${name}=${value}`),
  );
}
