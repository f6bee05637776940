import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import { isExhumeError } from '../../bytes/errors.js';
import type { Container } from '../../dump/container.js';
import { openMachine } from '../../machine/open.js';
import { PatchedMemory } from '../../testing/patched-memory.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { KernelView } from '../kernel-view.js';
import { openKernels, selectKernel } from '../open.js';
import { readTasks } from '../tasks/task-list.js';
import type { Stack } from './frame.js';
import { Stacks, stacksOf, unwindCpu, unwindTask } from './stacks.js';

const { container, kernel } = openSample();
const view = new KernelView(kernel);
const tasks = readTasks(view).tasks;
const INIT = tasks.find(({ pid }) => pid === 1)?.address ?? 0n;
const KTHREADD = tasks.find(({ pid }) => pid === 2)?.address ?? 0n;

/** The same dump with some of its memory changed, by kernel address. */
function changed(
  change: (patch: PatchedMemory, at: (address: bigint) => number) => void,
  more: Partial<Container> = {},
) {
  const memory = new PatchedMemory(container.memory);
  change(memory, (address) => kernel.pageTable.translate(virtualAddress(address)) ?? assert.fail('not mapped'));
  return new KernelView(
    selectKernel(openKernels(openMachine({ ...container, memory, ...more }, { assume: 'x86_64' }))),
  );
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/** Writes the registers of CPU 1 where a dying kernel saves them. */
function saveRegisters(patch: PatchedMemory, at: (address: bigint) => number): void {
  const registers = stacksOf(view).cpu(1).registers ?? assert.fail('no registers');
  const note = view.perCpu(view.memory.pointer(view.address('crash_notes')), 1);
  patch.write(at(note), new Uint8Array(Uint32Array.of(5, 336, 1, 0, 0).buffer));
  const order = 'r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs rflags rsp ss'.split(' ');
  order.forEach((name, index) => {
    patch.write(at(note + 132n + BigInt(index * 8)), u64(registers.get(name) ?? 0n));
  });
}

const names = ({ frames }: Stack) => frames.map(({ symbol }) => symbol?.symbol.name ?? 'user');

const PANIC = [
  'delay_tsc',
  'i8042_panic_blink',
  'vpanic',
  'panic',
  'sysrq_handle_crash',
  '__handle_sysrq.cold',
  'write_sysrq_trigger',
  'proc_reg_write',
  'vfs_write',
  'ksys_write',
  'do_syscall_64',
  'entry_SYSCALL_64_after_hwframe',
  'user',
];

test('the task that panicked, from registers that were taken after the panic, to the system call', () => {
  const stack = unwindCpu(view, 1);
  assert.ok(stack);
  // The kernel printed the same functions from vpanic on when it died.
  assert.deepEqual(names(stack), PANIC);
  assert.deepEqual([stack.task, stack.cpu, stack.start, stack.end], [INIT, 1, 'notes', 'user']);
  assert.ok(stack.frames.every(({ confidence }) => confidence === 'unwound'));
  const user = stack.frames.at(-1);
  // As the kernel printed: RIP 0033:0x47b7a0, RSP 002b:00007ffc299280b8, ORIG_RAX 1.
  assert.equal(user?.kind, 'user');
  assert.equal(user?.address, 0x47b7a0n);
  assert.equal(user?.sp, 0x7ffc299280b8n);
  assert.equal(user?.registers?.get('orig_rax'), 1n);
  assert.equal(user?.registers?.get('cs'), 0x33n);
});

/** The dump as one whose registers may be old, with another stack pointer of CPU 1 where that is given. */
function aged(rsp?: bigint, change: (patch: PatchedMemory, at: (address: bigint) => number) => void = () => {}) {
  const notes = container.notes.map((note, i) => {
    if (rsp === undefined || i % 2 === 0) return note;
    const description = note.description.slice();
    // In NT_PRSTATUS, and in QEMU's note.
    new DataView(description.buffer).setBigUint64(note.name === 'CORE' ? 264 : 56, rsp, true);
    return { ...note, description };
  });
  return changed(change, { notes, staleCpus: new Map([[1, 'asked for long ago']]) });
}

test('registers that may be old are said to be, where they could still be those of the CPU', () => {
  const stack = unwindCpu(aged(), 1);
  assert.ok(stack);
  assert.deepEqual(names(stack), PANIC);
  assert.deepEqual([stack.start, stack.stale], ['notes', 'asked for long ago']);
  assert.match(stack.problems.join(), /^registers may be old: asked for long ago/);
  assert.equal(unwindCpu(aged(), 0)?.stale, undefined);
});

test('registers that may be old yield to those that the dying kernel saved', () => {
  const stack = unwindCpu(aged(0xffff_8880_0000_1000n, saveRegisters), 1);
  assert.ok(stack);
  assert.deepEqual(names(stack), PANIC);
  assert.deepEqual([stack.start, stack.stale], ['crash_notes', undefined]);
});

test('old registers on a stack that the CPU does not have are not taken: where it died its stack tells', () => {
  const stack = unwindCpu(aged(0xffff_8880_0000_1000n), 1);
  assert.ok(stack);
  assert.equal(stack.start, 'scan');
  assert.match(stack.stale ?? '', /^asked for long ago; they are not of what it was running/);
  assert.deepEqual(names(stack), PANIC.slice(PANIC.indexOf(names(stack)[0] ?? '')));
});

test('a CPU that was stopped by an interrupt: off the IRQ stack to what it interrupted', () => {
  const stack = unwindCpu(view, 0);
  assert.ok(stack);
  assert.deepEqual(names(stack).slice(0, 6), [
    'stop_this_cpu',
    '__sysvec_reboot',
    'sysvec_reboot',
    'asm_sysvec_reboot',
    'pv_native_safe_halt',
    'default_idle',
  ]);
  assert.deepEqual(
    stack.frames.slice(0, 5).map((frame) => [frame.kind, frame.stack?.name]),
    [
      ['interrupted', 'IRQ'],
      ['call', 'IRQ'],
      ['call', 'IRQ'],
      ['call', 'task'],
      ['interrupted', 'task'],
    ],
  );
  assert.equal(names(stack).at(-1), 'common_startup_64');
  assert.equal(stack.end, 'bottom');
});

test('every task, to user mode or to the first frame of a kernel thread, and nothing guessed', () => {
  const stacks = stacksOf(view);
  assert.equal(stacks.orcFormat, '7.x');
  for (const { address, kernelThread, pid } of tasks) {
    const stack = stacks.unwindTask(address);
    assert.equal(stack.end, kernelThread ? 'bottom' : 'user', `pid ${pid}`);
    assert.ok(stack.frames.every(({ confidence }) => confidence === 'unwound'));
    if (stack.cpu === undefined) assert.equal(names(stack)[0], '__schedule', `pid ${pid}`);
  }
  assert.deepEqual(stacks.damage, []);
  assert.deepEqual(names(unwindTask(view, KTHREADD)), [
    '__schedule',
    'schedule',
    'kthreadd',
    'ret_from_fork',
    'ret_from_fork_asm',
  ]);
});

test('addresses of code on the stack: the frames, and what earlier calls left', () => {
  const stacks = stacksOf(view);
  const stack = stacks.unwindTask(INIT);
  const candidates = stacks.candidates(stack);
  const calls = stack.frames.filter(({ kind }) => kind === 'call');
  assert.deepEqual(
    candidates.filter(({ inFrame }) => inFrame).map(({ address }) => address),
    calls.map(({ address }) => address),
  );
  assert.ok(candidates.some(({ inFrame, symbol }) => !inFrame && symbol !== undefined));
});

test('without unwind tables the same functions are found by what lies on the stack, and marked as guessed', () => {
  const without = changed((memory, at) => {
    const start = view.address('__start_orc_unwind');
    const end = view.address('__stop_orc_unwind');
    for (let page = start & ~0xfffn; page < end; page += 4096n) memory.patch(at(page) / 4096, 'excluded');
  });
  const stacks = new Stacks(without);
  const stack = stacks.unwindTask(KTHREADD);
  assert.equal(stacks.orcFormat, undefined);
  assert.equal(stacks.damage[0]?.part, 'unwind tables');
  assert.deepEqual(names(stack).slice(0, 3), ['__schedule', 'schedule', 'kthreadd']);
  assert.ok(stack.frames.slice(1).every(({ confidence }) => confidence === 'guessed'));
  assert.notEqual(stack.problems.length, 0);
});

test('a page of the tables that is missing costs guesses, not the stack', () => {
  const entry = stacksOf(view)
    .unwindTask(INIT)
    .frames.find(({ symbol }) => symbol?.symbol.name === 'vfs_write');
  assert.ok(entry);
  const lookup = view.address('orc_lookup') + ((entry.address - view.address('_stext')) / 256n) * 4n;
  const index = view.memory.u32(lookup);
  const place = view.address('__start_orc_unwind') + BigInt(index * 6);
  const without = changed((memory, at) => memory.patch(Math.floor(at(place) / 4096), 'lost'));
  const stack = new Stacks(without).unwindTask(INIT);
  assert.deepEqual(names(stack), PANIC);
  assert.equal(stack.end, 'user');
  assert.ok(stack.frames.some(({ confidence }) => confidence === 'guessed'));
});

test("without orc_lookup's blocks the whole table is searched", () => {
  const without = changed((memory, at) => {
    const start = view.address('orc_lookup');
    for (let page = start & ~0xfffn; page < view.address('orc_lookup_end'); page += 4096n) {
      if (page > start) memory.patch(at(page) / 4096, 'excluded');
    }
  });
  assert.deepEqual(names(new Stacks(without).unwindTask(INIT)), PANIC);
});

/** kthreadd's stack with the return address into kthreadd() replaced by a trampoline. */
function replaced(
  trampoline: string,
  write: (memory: PatchedMemory, at: (address: bigint) => number, slot: bigint, real: bigint) => void,
) {
  const frame = unwindTask(view, KTHREADD).frames[2];
  assert.ok(frame?.slot);
  const { slot, address } = frame;
  return new Stacks(
    changed((memory, at) => {
      memory.write(at(slot), u64(view.address(trampoline)));
      write(memory, at, slot, address);
    }),
  ).unwindTask(KTHREADD);
}

test('a return address that ftrace replaced is found in the task, by its place on the stack', () => {
  const task = view.struct('task_struct', KTHREADD);
  // The bottom of the task's own stack is never used: it takes the place of the shadow stack.
  const shadow = task.pointer('stack') + 1024n;
  const type = view.types.requireStruct('ftrace_ret_stack');
  const stack = replaced('return_to_handler', (memory, at, slot, real) => {
    memory.write(at(task.addressOf('ret_stack')), u64(shadow));
    memory.write(at(shadow + BigInt(type.require('ret').offset)), u64(real));
    memory.write(at(shadow + BigInt(type.require('retp').offset)), u64(slot));
  });
  assert.deepEqual(names(stack).slice(0, 4), ['__schedule', 'schedule', 'kthreadd', 'ret_from_fork']);
  assert.equal(stack.frames[2]?.replacedBy, 'ftrace');
  assert.equal(stack.frames[2]?.confidence, 'unwound');
  assert.equal(stack.end, 'bottom');
});

test('a return address that a probe replaced is found on the list of the task', () => {
  const task = view.struct('task_struct', KTHREADD);
  const node = task.pointer('stack') + 1024n;
  const type = view.types.requireStruct('rethook_node');
  const stack = replaced('arch_rethook_trampoline', (memory, at, slot, real) => {
    memory.write(at(task.addressOf('rethooks')), u64(node + BigInt(type.require('llist').offset)));
    memory.write(at(node + BigInt(type.require('llist').offset)), u64(0n));
    memory.write(at(node + BigInt(type.require('ret_addr').offset)), u64(real));
    memory.write(at(node + BigInt(type.require('frame').offset)), u64(slot));
  });
  assert.deepEqual(names(stack).slice(0, 4), ['__schedule', 'schedule', 'kthreadd', 'ret_from_fork']);
  assert.equal(stack.frames[2]?.replacedBy, 'kretprobe');
});

test('a trampoline that nobody owns up to ends in a problem, and the frames above are guessed', () => {
  const stack = replaced('return_to_handler', () => {});
  assert.equal(names(stack)[2], 'return_to_handler');
  assert.match(stack.problems.join('\n'), /ftrace keeps no return address/);
});

test('without the CPUs notes: from where the kernel is known to have stayed, all of it guessed', () => {
  const bare = changed(() => {}, { notes: [] });
  const stacks = new Stacks(bare);
  const stack = stacks.unwindTask(INIT);
  assert.equal(stack.start, 'scan');
  assert.deepEqual(names(stack).slice(-10), PANIC.slice(-10));
  assert.ok(stack.frames.every(({ confidence }) => confidence === 'guessed'));
});

test('what the dying kernel saved stands in for notes that are not there', () => {
  const bare = changed(saveRegisters, { notes: [] });
  const stack = new Stacks(bare).unwindTask(INIT);
  assert.equal(stack.start, 'crash_notes');
  assert.deepEqual(names(stack), PANIC);
});

test('damage of any kind: stacks end, and errors are our own', () => {
  const random = new Random(20261120);
  for (let round = 0; round < 60; round++) {
    const victim = random.pick(tasks.slice(0, 40) as [(typeof tasks)[0], ...typeof tasks]);
    const damaged = changed((memory, at) => {
      const from = random.pick<bigint>([
        victim.stack + 15360n,
        victim.address,
        view.address('orc_lookup') + BigInt(random.below(200000)),
        view.address('__start_orc_unwind') + BigInt(random.below(2000000)),
        view.address('__start_orc_unwind_ip') + BigInt(random.below(1000000)),
      ]);
      if (random.below(5) === 0)
        return memory.patch(Math.floor(at(from) / 4096), random.pick(['excluded', 'lost', 'absent']));
      const page = from & ~0xfffn;
      const bytes = view.memory.bytes(page, 4096);
      random.mutate(bytes, 256);
      memory.write(at(page), bytes);
    });
    try {
      const stacks = new Stacks(damaged);
      const stack = stacks.unwindTask(victim.address);
      assert.ok(stack.frames.length <= 4096);
      stacks.candidates(stack);
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
    }
  }
});
