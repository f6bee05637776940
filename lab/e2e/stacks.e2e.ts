import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BtReport, FrameReport, StackReport } from '../../src/report/schema/bt.js';
import { type DrgnTask, deaths, drgnAnswer, headed, lines, talkative } from './deaths.js';
import { account, exhumeJson, type LabDump } from './support.js';

/** The kernel half of the address space. */
const isKernel = (address: string): boolean => BigInt(address) >= 1n << 63n;
const kernelFrames = (stack: StackReport): readonly FrameReport[] => stack.frames.filter(({ kind }) => kind !== 'user');

function stacksOf(dump: LabDump): readonly StackReport[] {
  return exhumeJson<BtReport>(dump, 'bt', '--all').answer.stacks;
}

/** drgn's frames without inlined functions, up to where the kernel was entered. */
function drgnFrames(
  stack: DrgnTask['stack'],
): readonly { pc: string; sp: string; symbol: string | null }[] | undefined {
  if ('error' in stack) return undefined;
  const calls = stack.filter(({ inline, pc }) => !inline && typeof pc === 'string');
  // Address 0 was called, which is no way out of the kernel.
  const entered = calls.findIndex(({ pc }) => !isKernel(pc) && pc !== '0x0');
  return entered < 0 ? calls : calls.slice(0, entered);
}

for (const dump of deaths()) {
  const drgn = drgnAnswer(dump);
  test(`${dump.title}: every stack is drgn's, frame by frame`, {
    skip: drgn === undefined || drgn.tasks.length > 10_000,
  }, () => {
    const stacks = new Map(stacksOf(dump).map((stack) => [stack.task, stack]));
    let compared = 0;
    for (const task of drgn?.tasks ?? []) {
      const expected = drgnFrames(task.stack);
      const stack = stacks.get(task.address);
      if (expected === undefined || stack === undefined || task.state === 'Z' || task.state === 'X') continue;
      const found = kernelFrames(stack).map(({ address, sp }) => `${address} at ${sp}`);
      assert.deepEqual(
        found,
        expected.map(({ pc, sp }) => `${pc} at ${sp}`),
        `${task.pid} (${task.comm}): ${expected.map(({ symbol }) => symbol).join(' < ')}`,
      );
      compared++;
    }
    assert.ok(compared > 40, `${compared} stacks compared`);
  });
}

for (const dump of talkative()) {
  test(`${dump.title}: who slept long before the end has the stack that the kernel itself told`, () => {
    const told = headed(account(dump, 'task-stack'));
    const asleep = new Set(
      [...headed(account(dump, 'task-status'))]
        .filter(([, status]) => /^State:\s+S/m.test(status) && /^VmSize:/m.test(status))
        .map(([path]) => Number(path.split('/')[4])),
    );
    let compared = 0;
    for (const stack of stacksOf(dump)) {
      const expected = lines(told.get(`/proc/${stack.pid}/task/${stack.pid}/stack`) ?? '');
      // Init goes on when the tellers have ended, and who was woken up by the end runs.
      if (!asleep.has(stack.pid) || stack.pid === 1 || stack.active || expected.length === 0) continue;
      const found = kernelFrames(stack).map(
        ({ symbol, offset, module }) =>
          `${symbol}+0x${(offset ?? 0).toString(16)}/${module === null ? '' : ` [${module}]`}`,
      );
      // The kernel leaves out its scheduler, and tells sizes of functions.
      const wanted = expected.map((line) => line.replace(/^\[<0>\] /, '').replace(/\/0x[0-9a-f]+/, '/'));
      assert.deepEqual(found.slice(-wanted.length), wanted, `${stack.pid} (${stack.comm})`);
      compared++;
    }
    assert.ok(compared >= 2, `${compared} stacks compared`);
  });
}
