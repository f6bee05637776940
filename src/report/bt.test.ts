import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/schema';
import { isExhumeError } from '../bytes/errors.js';
import { openSample } from '../testing/sample.js';
import { buildBt } from './bt.js';
import { BtSchema } from './schema/bt.js';
import { openSubject } from './subject.js';
import { btText } from './text/bt.js';
import { PLAIN } from './text/page.js';

const subject = openSubject(openSample().container);
const names = (report: ReturnType<typeof buildBt>) => report.stacks.map(({ comm, cpu }) => `${comm} ${cpu}`);

test('by default the task in which the kernel died', () => {
  const report = buildBt(subject);
  assert.deepEqual(names(report), ['init 1']);
  const [stack] = report.stacks;
  assert.equal(stack?.panicked, true);
  assert.equal(stack?.start, 'notes');
  assert.equal(report.tables, '7.x');
  assert.equal(report.complete, true);
  const panic = stack?.frames.find(({ symbol }) => symbol === 'sysrq_handle_crash');
  assert.deepEqual(panic, {
    kind: 'call',
    address: '0xffffffffbafb16ba',
    symbol: 'sysrq_handle_crash',
    offset: 26,
    module: null,
    line: null,
    sp: '0xffffd076400139e8',
    slot: '0xffffd076400139e0',
    stack: 'task',
    confidence: 'unwound',
    replacedBy: null,
    registers: null,
    words: null,
  });
});

test('what CPUs were running, tasks by pid, address and name, and all of them', () => {
  assert.deepEqual(names(buildBt(subject, { active: true })), ['swapper/0 0', 'init 1']);
  assert.deepEqual(names(buildBt(subject, { cpus: [0] })), ['swapper/0 0']);
  const byPid = buildBt(subject, { selectors: ['2'] });
  assert.deepEqual(
    byPid.stacks.map(({ comm, active, panicked }) => [comm, active, panicked]),
    [['kthreadd', false, false]],
  );
  const task = byPid.stacks[0]?.task.slice(2) ?? '';
  assert.deepEqual(names(buildBt(subject, { selectors: [task] })), names(byPid));
  assert.deepEqual(names(buildBt(subject, { selectors: ['kthreadd'] })), names(byPid));
  const all = buildBt(subject, { all: true });
  assert.equal(all.stacks.length, 63);
  assert.ok(all.stacks.every(({ end }) => end !== 'lost'));
});

test('what is not there is said', () => {
  const report = buildBt(subject, { selectors: ['nobody'] });
  assert.deepEqual([report.complete, report.unmatched, report.stacks], [false, ['nobody'], []]);
  assert.deepEqual([...btText(report, PLAIN)], ['no such task: nobody']);
  assert.throws(
    () => buildBt(subject, { cpus: [2] }),
    (error) => isExhumeError(error, 'EXH_USAGE'),
  );
});

test("the text is laid out as crash's bt is", () => {
  const lines = [...btText(buildBt(subject, { cpus: [0] }), PLAIN)];
  assert.equal(lines[0], 'PID: 0        TASK: ffffffffbc411140  CPU: 0    COMMAND: "swapper/0"');
  assert.equal(lines[1], '    [exception RIP: stop_this_cpu+101]');
  assert.equal(lines[2], '    RIP: ffffffffba4fb515  RSP: ffffd07640003fd8  RFLAGS: 00000046');
  assert.equal(lines[5], '    RBP: ffff892788a5b000   R8: 0000000000000000   R9: 0000000000000000');
  assert.equal(lines[8], '    ORIG_RAX: 0000000000000000  CS: 0010  SS: 0018');
  assert.deepEqual(lines.slice(9, 13), [
    ' #0 [ffffd07640003fe8] __sysvec_reboot at ffffffffba52cc8a',
    ' #1 [ffffd07640003ff0] sysvec_reboot at ffffffffbb43eede',
    '--- <IRQ stack> ---',
    ' #2 [ffffffffbc403da0] asm_sysvec_reboot at ffffffffba20166a',
  ]);
  assert.equal(lines.at(-1), '#11 [ffffffffbc403f40] common_startup_64 at ffffffffba4e771d');
  const offsets = [...btText(buildBt(subject, { cpus: [0] }), PLAIN, { offsets: true })];
  assert.equal(offsets[10], ' #1 [ffffd07640003ff0] sysvec_reboot+78 at ffffffffbb43eede');
});

test('addresses of code on the stack, those that no frame has marked', () => {
  const report = buildBt(subject, { textAddresses: true });
  const lines = [...btText(report, PLAIN)];
  assert.match(lines[1] ?? '', /^ {14}START: delay_tsc at ffffffffbb432317$/);
  assert.ok(lines.some((line) => /\] sysrq_handle_crash\+26 at ffffffffbafb16ba$/.test(line)));
  assert.ok(lines.some((line) => line.endsWith(' ?')));
});

test('what is guessed or lost is said beside it', () => {
  const report = buildBt(subject);
  const [stack] = report.stacks;
  assert.ok(stack);
  const frames = stack.frames.slice(0, 3).map((frame) => ({ ...frame, confidence: 'guessed' as const }));
  const lost = { ...report, stacks: [{ ...stack, frames, end: 'lost' as const, problems: ['its page is lost'] }] };
  const lines = [...btText(lost, PLAIN)];
  assert.match(lines.at(-2) ?? '', / vpanic at [0-9a-f]{16} \(guessed\)$/);
  assert.equal(lines.at(-1), '    (it cannot be followed further: its page is lost)');
});

test('a CPU in user mode has its registers, and nothing on its kernel stack; a task that has ended has no stack', () => {
  const report = buildBt(subject);
  const [stack] = report.stacks;
  const user = stack?.frames.at(-1);
  assert.ok(stack && user);
  const lines = [...btText({ ...report, stacks: [{ ...stack, frames: [user] }] }, PLAIN)];
  assert.equal(lines[1], '    RIP: 000000000047b7a0  RSP: 00007ffc299280b8  RFLAGS: 00000202');
  assert.equal(lines.at(-1), '    (in user mode: the kernel stack is empty)');
  const ended = [...btText({ ...report, stacks: [{ ...stack, frames: [], end: 'bottom' }] }, PLAIN)];
  assert.deepEqual(ended.slice(1), ['(no stack)']);
});

test('the answers are what the schema says', () => {
  const validator = Compile(JSON.parse(JSON.stringify(BtSchema)) as object);
  for (const options of [{}, { all: true }, { active: true, textAddresses: true }, { selectors: ['nobody'] }]) {
    const report = buildBt(subject, options);
    const [valid, errors] = validator.Errors(JSON.parse(JSON.stringify(report)));
    assert.ok(valid, JSON.stringify(errors));
  }
  assert.equal(validator.Check({ ...buildBt(subject), tables: 7 }), false);
});

test('the words of frames go from one to the next, and have names', () => {
  const report = buildBt(subject, { selectors: ['2'], words: true });
  const frames = report.stacks[0]?.frames ?? [];
  for (const [index, { words, sp }] of frames.entries()) {
    const next = frames[index + 1];
    if (next === undefined) continue;
    assert.equal(words?.[0]?.slot, sp);
    // The last one is where the caller goes on.
    const last = words?.at(-1);
    assert.deepEqual([last?.slot, last?.value], [next.slot, next.address]);
    assert.equal(last?.symbol, `${next.symbol}+${next.offset}`);
  }
  assert.ok(frames.length > 3);
  const lines = [...btText(report, PLAIN, { symbols: true })];
  assert.match(lines.join('\n'), /^ {4}[0-9a-f]{16}: .*\bschedule\+\d+$/m);
  assert.ok(Compile(BtSchema).Check(JSON.parse(JSON.stringify(report))));
});

test('an address in an object of the slab allocator is told with its cache', () => {
  const report = buildBt(subject, { words: true });
  const found = report.stacks[0]?.frames.flatMap(({ words }) => words ?? []) ?? [];
  // The file that was written to: vfs_write() keeps it.
  assert.ok(found.some(({ cache }) => cache === 'filp'));
  assert.match([...btText(report, PLAIN, { symbols: true })].join('\n'), /\[ffff[0-9a-f]{12}:filp\]/);
});

test('the whole of a stack, and the text addresses of all of it', () => {
  const [stack] = buildBt(subject, { selectors: ['2'], raw: true }).stacks;
  assert.equal(stack?.raw?.length, 2048);
  const count = (options: Parameters<typeof buildBt>[1]): number =>
    buildBt(subject, { selectors: ['2'], ...options }).stacks[0]?.candidates?.length ?? 0;
  assert.ok(count({ allTextAddresses: true }) > count({ textAddresses: true }));
});
