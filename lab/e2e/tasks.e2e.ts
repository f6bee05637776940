import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PsReport, TaskReport } from '../../src/report/schema/ps.js';
import { deaths, drgnAnswer, lines, peerAnswer, TELLERS, taskStats } from './deaths.js';
import { exhumeJson, type LabDump } from './support.js';

/** In /proc the name of a worker is followed by what it works on, and those of kernel threads are whole. */
const ownName = (comm: string): string => (/^kworker\/\w+:/.test(comm) ? comm.replace(/[-+].*/, '') : comm);
const isWorker = (comm: string): boolean => comm.startsWith('kworker/');

function tasksOf(dump: LabDump): readonly TaskReport[] {
  const { status, answer } = exhumeJson<PsReport>(dump, 'ps');
  assert.equal(status, 0);
  assert.equal(answer.total, answer.tasks.length);
  return answer.tasks;
}

for (const dump of deaths()) {
  test(`${dump.title}: ps has the threads that the guest listed last, and crash and drgn list`, () => {
    const tasks = tasksOf(dump);
    const byPid = new Map(tasks.filter(({ pid }) => pid !== 0).map((task) => [task.pid, task]));
    const told = taskStats(dump);
    assert.ok(told.length > 40, `${told.length} tasks told`);
    const newest = Math.max(...told.map(({ pid }) => pid));

    // The guest's own words, some milliseconds old: tellers and workers come and go.
    for (const { pid, comm, ppid } of told) {
      const task = byPid.get(pid);
      if (task === undefined) {
        assert.ok((TELLERS.has(comm) && pid !== 1) || isWorker(comm), `${pid} (${comm}) is missing`);
        continue;
      }
      assert.equal(task.comm, ownName(comm).slice(0, 15), `comm of ${pid}`);
      assert.equal(task.ppid, ppid, `parent of ${pid}`);
    }
    const known = new Set(told.map(({ pid }) => pid));
    for (const { pid, comm } of byPid.values()) {
      assert.ok(known.has(pid) || pid > newest || isWorker(comm), `${pid} (${comm}) was never told`);
    }

    const drgn = drgnAnswer(dump);
    if (drgn !== undefined) {
      const expected = drgn.tasks.map(({ address, pid, tgid, ppid, comm, state, cpu }) => ({
        address,
        pid,
        tgid,
        ppid,
        comm,
        state,
        cpu,
      }));
      const found = tasks
        .filter(({ pid }) => pid !== 0)
        .map(({ task, pid, tgid, ppid, comm, state, cpu }) => ({
          address: task,
          pid,
          tgid,
          ppid,
          comm,
          state: state.letter,
          cpu,
        }));
      assertSame(found, expected, 'drgn');
    }

    const crash = peerAnswer(dump, 'crash-ps');
    if (crash !== undefined) {
      const expected = lines(crash)
        .filter((line) => !/^\s+PID /.test(line))
        .map((line) => /^(>?) +(\d+) +(\d+) +(\d+) +(\w+) +(\w\w) +([\d.]+) +(\d+) +(\d+) {2}(.*)$/.exec(line))
        .map((match) => [...(match?.slice(1) ?? ['no line of ps'])].join(' '));
      const found = tasks.map((task) => {
        const name = task.kernelThread ? `[${task.comm}]` : task.comm;
        const kilobytes = (bytes: number | undefined): string => `${Math.floor((bytes ?? 0) / 1024)}`;
        return [
          task.active ? '>' : '',
          `${task.pid}`,
          `${task.ppid ?? 0}`,
          `${task.cpu}`,
          task.task.replace('0x', ''),
          task.state.code,
          (task.memory?.percent ?? 0).toFixed(1),
          kilobytes(task.memory?.virtual),
          kilobytes(task.memory?.resident),
          name,
        ].join(' ');
      });
      assertSame(found, expected, 'crash');
    }
  });
}

/** Of thousands, the first that differs. */
function assertSame(found: readonly unknown[], expected: readonly unknown[], whose: string): void {
  const text = (items: readonly unknown[]): string[] => items.map((item) => JSON.stringify(item)).sort();
  const [ours, theirs] = [text(found), text(expected)];
  const wrong = theirs.findIndex((line, index) => line !== ours[index]);
  assert.equal(wrong < 0 ? '' : ours[wrong], wrong < 0 ? '' : theirs[wrong], whose);
  assert.equal(ours.length, theirs.length, whose);
}
