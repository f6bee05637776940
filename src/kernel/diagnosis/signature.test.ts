import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fixtureLines, logFixture } from '../../testing/log-fixture.js';
import { crashOfLines } from '../../testing/printed-crash.js';
import { Random } from '../../testing/random.js';
import type { CrashKind } from '../log/crash-signs.js';
import { type CrashText, findCrash } from '../log/crash-text.js';
import { readKernelLog } from '../log/read.js';
import { type Frame, framesOfTrace, sourceName } from './frame.js';
import { sha256 } from './sha256.js';
import { GROUPING, type Signature, signatureOf } from './signature.js';

function signed(crash: CrashText): Signature {
  const { cause } = crash;
  assert.ok(cause !== undefined);
  const signature = signatureOf({
    kind: cause.kind,
    frames: framesOfTrace(cause.trace, cause.weight === 'panic' ? undefined : cause.rip, cause.module),
    message: crash.panicMessage ?? cause.message,
  });
  assert.ok(signature !== undefined);
  return signature;
}

const ofFixture = (name: string): Signature => signed(crashOfLines(fixtureLines(`crashes/${name}.txt`)));

/** Real ends of real kernels: what is left of each stack. */
const GUESTS: Readonly<Record<string, readonly [group: string, ...frames: string[]]>> = {
  '5.10-null': ['bad-access', 'uptime_proc_show'],
  '7.2-null': ['bad-access', 'uptime_proc_show'],
  '6.1-three-oopses': ['bad-access', 'uptime_proc_show'],
  '6.1-gpf': ['bad-access', 'uptime_proc_show'],
  '6.1-divide': ['exception', 'uptime_proc_show'],
  '7.2-int3': ['exception', 'uptime_proc_show'],
  '6.1-nx': ['bad-access', 'init_task'],
  '7.2-nx': ['bad-access', 'init_task'],
  '6.1-df': ['stack-overflow', 'uptime_proc_show'],
  '7.2-df': ['stack-overflow', 'uptime_proc_show'],
  '7.2-overflow': ['stack-overflow', 'uptime_proc_show'],
  '6.1-bug': ['bug', '__jump_label_update'],
  '7.2-bug': ['bug', 'array_of_map_free'],
  '5.10-warn': ['warning', 'invalidate_inode_pages2_range'],
  '6.1-warn': ['warning', 'jump_label_del_module'],
  '7.2-warn': ['warning', 'bpf_do_misc_fixups'],
  '6.1-soft': ['lockup', 'uptime_proc_show'],
  '7.2-rcu-stall': ['lockup', 'uptime_proc_show'],
  '6.1-oom': ['out-of-memory'],
  '7.2-oom': ['out-of-memory'],
  '6.1-nmi': ['nmi'],
  '7.2-nmi': ['nmi'],
  '6.1-vfs': ['no-root'],
  '5.10-exit': ['init-died'],
};

for (const [name, [group, ...frames]] of Object.entries(GUESTS)) {
  test(`what is left of ${name}`, () => {
    const signature = ofFixture(name);
    assert.deepEqual([signature.group, ...signature.frames], [group, ...frames]);
    assert.match(signature.id, /^exh1:[0-9a-f]{20}$/);
  });
}

test('the same crash has the same signature on another version, and different crashes have different ones', () => {
  const ids = new Map<string, string>();
  for (const [name, what] of Object.entries(GUESTS)) {
    const { id } = ofFixture(name);
    const before = ids.get(what.join('\n'));
    assert.equal(id, before ?? id, name);
    ids.set(what.join('\n'), id);
  }
  assert.equal(new Set(ids.values()).size, ids.size);
});

test('a crash on request is the same on 5.10, 6.1 and 7.2, out of their memory', () => {
  const all = ['linux-5.10-panic', 'linux-6.1-panic', 'linux-7.2-panic'].map((name) =>
    signed(findCrash(readKernelLog(logFixture(name).source))),
  );
  for (const { id, frames, title } of all) {
    assert.equal(id, all[0]?.id);
    assert.deepEqual(frames, ['sysrq_handle_crash', '__handle_sysrq', 'write_sysrq_trigger']);
    assert.equal(title, 'crash on request in sysrq_handle_crash, called by __handle_sysrq, write_sysrq_trigger');
  }
});

test('exh1 is what it was when it was published', () => {
  const frames = ['a', 'b', 'c'].map((name) => frame(name));
  const { id } = derive('page-fault', frames);
  assert.equal(id, `exh1:${createHash('sha256').update('exh1\nbad-access\na\nb\nc').digest('hex').slice(0, 20)}`);
  assert.equal(ofFixture('7.2-null').id, 'exh1:00d5de7d14e3d713de3b');
  assert.equal(ofFixture('7.2-oom').id, 'exh1:0e1c5ba1e5612143b9ed');
});

test('sha256 is SHA-256, whatever the length', () => {
  assert.equal(sha256('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  const random = new Random(256);
  for (let length = 0; length < 200; length++) {
    const text = Array.from({ length }, () => String.fromCodePoint(32 + random.below(300))).join('');
    assert.equal(sha256(text), createHash('sha256').update(text).digest('hex'));
  }
});

test('a function has the name that it has in the source', () => {
  const names: [string, string][] = [
    ['do_exit.cold', 'do_exit'],
    ['__alloc_pages_slowpath.constprop.0', '__alloc_pages_slowpath'],
    ['dput.part.0.isra.0', 'dput'],
    ['foo.llvm.1234567', 'foo'],
    ['foo.lto_priv.3', 'foo'],
    ['__pfx_uptime_proc_show', 'uptime_proc_show'],
    ['__x64_sys_write', 'sys_write'],
    ['__se_sys_write', 'sys_write'],
    ['__ia32_compat_sys_ioctl', 'sys_ioctl'],
    ['.text', '.text'],
    ['a.b', 'a.b'],
  ];
  for (const [name, source] of names) assert.equal(sourceName(name), source);
});

const frame = (name: string, more: Partial<Frame> = {}): Frame => ({
  name,
  module: undefined,
  reliable: true,
  stack: undefined,
  ...more,
});

function derive(kind: CrashKind, frames: readonly Frame[], message?: string): Signature {
  const signature = signatureOf({ kind, frames, message });
  assert.ok(signature !== undefined);
  return signature;
}

const kept = (kind: CrashKind, names: string): string =>
  derive(
    kind,
    names.split(' ').map((name) => frame(name)),
  ).frames.join(' ');

test('what only tells of the end, or led in, is left out; what went wrong there is not', () => {
  assert.equal(kept('panic', 'dump_stack_lvl vpanic panic foo vfs_write ksys_write do_syscall_64'), 'foo');
  assert.equal(kept('page-fault', 'vfs_write ksys_write do_syscall_64 entry_SYSCALL_64_after_hwframe'), 'vfs_write');
  assert.equal(kept('page-fault', 'foo bar process_one_work worker_thread kthread ret_from_fork_asm'), 'foo bar');
  assert.equal(
    kept('hung-task', '__schedule schedule __mutex_lock.constprop.0 ext4_foo vfs_fsync'),
    'ext4_foo vfs_fsync',
  );
  assert.equal(kept('bug', 'schedule foo'), 'schedule foo');
  assert.equal(
    kept('corruption', '__list_del_entry_valid_or_report foo'),
    kept('corruption', '__list_del_entry_valid foo'),
  );
  assert.equal(kept('page-fault', 'my_timer call_timer_fn __run_timers run_timer_softirq'), 'my_timer');
  assert.equal(kept('soft-lockup', 'native_queued_spin_lock_slowpath _raw_spin_lock_irqsave foo bar'), 'foo bar');
});

test('a module is a part of the name, and none of its functions is noise', () => {
  const frames = [frame('panic', { module: 'mine' }), frame('vfs_write', { module: 'mine' }), frame('vfs_write')];
  const { frames: shown, dropped } = derive('bug', frames);
  assert.deepEqual(shown, ['panic [mine]', 'vfs_write [mine]']);
  assert.deepEqual(dropped, [{ frame: 'vfs_write', why: 'the way through the file system' }]);
});

test('what an interrupt interrupted says nothing about a crash in it, and all about a lockup that it found', () => {
  const irq = (name: string) => frame(name, { stack: 'IRQ' });
  const frames = [
    irq('e1000_intr'),
    irq('e1000_clean'),
    frame('asm_common_interrupt'),
    frame('ext4_write'),
    frame('x'),
  ];
  const crash = derive('page-fault', frames);
  assert.deepEqual(crash.frames, ['e1000_intr', 'e1000_clean']);
  assert.deepEqual(
    crash.dropped.map(({ why }) => why),
    ['was interrupted by it', 'was interrupted by it', 'was interrupted by it'],
  );
  const found = [
    irq('watchdog_timer_fn'),
    irq('some_timer'),
    frame('asm_sysvec_apic_timer_interrupt'),
    frame('spin'),
    frame('y'),
  ];
  assert.deepEqual(derive('soft-lockup', found).frames, ['spin', 'y']);
});

test('a recursion is known by what comes round, wherever the stack ended', () => {
  const round = (names: string, times: number): Frame[] =>
    Array.from({ length: times }, () => names.split(' ').map((name) => frame(name))).flat();
  const one = derive('stack-overflow', [frame('leaf'), ...round('f g h', 50), frame('start')]);
  const other = derive('stack-overflow', [...round('h f g', 41), frame('start')]);
  assert.equal(one.id, other.id);
  assert.deepEqual(one.frames, ['f', 'g', 'h']);
  assert.deepEqual(derive('bug', [...round('f', 9), frame('g')]).frames, ['f', 'g']);
});

test('without functions the words stand for them, without their numbers', () => {
  const words = (message: string) => derive('panic', [], message).message;
  assert.equal(words('ZFS: rpool: txg 1234 at ffff888004429000'), 'ZFS: rpool: txg N at N');
  assert.equal(words('bad CPU 0x10 here'), words('bad CPU 0x3ff here'));
  assert.notEqual(derive('panic', [], 'a').id, derive('panic', [], 'b').id);
  assert.equal(signatureOf({ kind: 'panic', frames: [], message: undefined }), undefined);
  assert.equal(signatureOf({ kind: 'panic', frames: [frame('f', { reliable: false })], message: ' ' }), undefined);
});

test('every kind has its rule, and any trace an answer', () => {
  const random = new Random(77);
  const names = ['panic', 'a', 'b', '<script>', '', 'x.cold', '__schedule', 'sys_x', 'é'.repeat(300)];
  for (const kind of Object.keys(GROUPING) as CrashKind[]) {
    for (let round = 0; round < 20; round++) {
      const frames = Array.from({ length: random.below(12) }, () =>
        frame(names[random.below(names.length)] ?? '', {
          reliable: random.below(4) > 0,
          stack: random.below(3) === 0 ? 'IRQ' : undefined,
        }),
      );
      const signature = signatureOf({ kind, frames, message: 'm' });
      assert.ok(signature !== undefined && signature.frames.length <= 3);
      assert.ok(signature.frames.length + signature.further + signature.dropped.length <= frames.length);
    }
  }
});
