import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import type { Damage } from '../../bytes/errors.js';
import { KernelView } from '../../kernel/kernel-view.js';
import { NO_SYMBOLS, type SymbolTable } from '../../kernel/symbols.js';
import { containerOf } from '../../kernel/types/struct.js';
import { damagedView } from '../../testing/damaged-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { parseFormatFile, writeFormatFile } from './format-file.js';
import { readKernelFormats } from './kernel-formats.js';
import { readKernelNames } from './kernel-names.js';
import { sipHash } from './pointer-hash.js';
import { USUAL_COMMON_FIELDS } from './trace-formats.js';

const view = new KernelView(openSample().kernel);

/** `events/sched/sched_wakeup/format` of Linux 7.2, its number left out. */
const WAKEUP = `name: sched_wakeup
ID: #
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:char comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t pid;	offset:24;	size:4;	signed:1;
	field:int prio;	offset:28;	size:4;	signed:1;
	field:int target_cpu;	offset:32;	size:4;	signed:1;

print fmt: "comm=%s pid=%d prio=%d target_cpu=%03d", REC->comm, REC->pid, REC->prio, REC->target_cpu
`;

test('every event of a real kernel is there, with its number and its fields', () => {
  const damage: Damage[] = [];
  const formats = readKernelFormats(view, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual(formats.common, USUAL_COMMON_FIELDS);
  assert.equal(formats.all.length, 1646);
  const wakeup = formats.find('sched', 'sched_wakeup');
  assert.ok(wakeup !== undefined);
  assert.equal(formats.byId(wakeup.id), wakeup);
  assert.equal(writeFormatFile(wakeup, formats.common).replace(/^ID: \d+$/m, 'ID: #'), WAKEUP);
});

test("the numbers of the kernel's own kinds are those of enum trace_type", () => {
  const formats = readKernelFormats(view);
  const kinds = view.types.enumeration('trace_type');
  assert.ok(kinds !== undefined);
  for (const [name, kind] of [
    ['function', 'TRACE_FN'],
    ['funcgraph_entry', 'TRACE_GRAPH_ENT'],
    ['print', 'TRACE_PRINT'],
    ['bprint', 'TRACE_BPRINT'],
    ['kernel_stack', 'TRACE_STACK'],
  ] as const) {
    assert.equal(BigInt(formats.find('ftrace', name)?.id ?? 0), kinds.get(kind), name);
  }
});

test('fields lie where the structures of the tracepoints have them', () => {
  let compared = 0;
  for (const format of readKernelFormats(view).all) {
    const type = view.types.struct(`trace_event_raw_${format.name}`);
    for (const { name, type: words, offset, size } of type === undefined ? [] : format.fields) {
      const field = type?.field(words.startsWith('__data_loc') ? `__data_loc_${name}` : name);
      if (field === undefined) continue;
      assert.deepEqual([field.offset, field.size], [offset, size], `${format.name}.${name}`);
      compared++;
    }
  }
  assert.ok(compared > 1500, `${compared}`);
});

test('a system call has its arguments, what they point at, and its print format', () => {
  const formats = readKernelFormats(view);
  const write = formats.find('syscalls', 'sys_enter_write');
  assert.deepEqual(
    write?.fields.map((field) => `${field.type} ${field.name} ${field.offset} ${field.size}`),
    [
      'int __syscall_nr 8 4',
      'unsigned int fd 16 8',
      'const char * buf 24 8',
      'size_t count 32 8',
      '__data_loc char[] __buf_val 40 4',
    ],
  );
  assert.ok(write?.printFormat.startsWith('"fd: 0x%08lx, buf: 0x%08lx (%s), count: 0x%08lx", '));
});

test('all files that are written are read back', () => {
  const { all, common } = readKernelFormats(view);
  for (const format of all) {
    const { fields, printFormat } = parseFormatFile(writeFormatFile(format, common), format.system).format;
    assert.deepEqual({ fields, printFormat }, { fields: format.fields, printFormat: format.printFormat });
  }
});

test('events that are damaged are told, and the others stand', () => {
  const { view: damaged, write, exclude } = damagedView();
  const calls = damaged.types.requireStruct('trace_event_call');
  const first = damaged.memory.pointer(damaged.address('ftrace_events'));
  write(first + BigInt(calls.require('print_fmt').offset), 0x1000n);
  const damage: Damage[] = [];
  assert.equal(readKernelFormats(damaged, damage).all.length, 1645);
  assert.equal(damage.length, 1);
  assert.match(damage[0]?.message ?? '', /^1 cannot be read/);
  exclude(damaged.memory.pointer(first));
  const more: Damage[] = [];
  assert.ok(readKernelFormats(damaged, more).all.length < 1645);
  assert.ok(more.length > 0);
});

test('of a kernel that died while it booted the constants in print formats are replaced', () => {
  const { view: damaged, write, writeBytes } = damagedView();
  const first = damaged.memory.pointer(damaged.address('ftrace_events'));
  const call = containerOf(damaged.memory, damaged.types.requireStruct('trace_event_call'), 'list', first);
  // The list of maps, a map, its name, and a print format with the name.
  const list = damaged.address('__log_buf');
  const [map, name, format] = [list + 64n, list + 128n, list + 256n];
  write(list, map);
  write(map, call.pointer('class->system'), name, -7n);
  writeBytes(name, new TextEncoder().encode('SEVEN\0'));
  writeBytes(format, new TextEncoder().encode('"SEVEN %d", SEVEN\0'));
  write(call.addressOf('print_fmt'), format);
  const moved = new Map<string, bigint>([
    ['__start_ftrace_eval_maps', list],
    ['__stop_ftrace_eval_maps', list + 8n],
  ]);
  const { kernel } = damaged;
  const symbols: SymbolTable = {
    ...NO_SYMBOLS,
    at: (address) => kernel.symbols.at(address),
    address: (symbol) => virtualAddress(moved.get(symbol) ?? kernel.symbols.address(symbol) ?? 0n),
  };
  const booting = new KernelView({ ...kernel, symbols });
  const printFormat = () => readKernelFormats(booting).byId(call.int('event.type'))?.printFormat;
  assert.equal(printFormat(), '"SEVEN %d", SEVEN');
  writeBytes(damaged.address('system_state'), new Uint8Array(4));
  assert.equal(printFormat(), '"SEVEN %d", -7');
  // Where they cannot be read the formats stay as they are.
  moved.set('__stop_ftrace_eval_maps', list + 32n);
  const damage: Damage[] = [];
  assert.equal(readKernelFormats(booting, damage).all.length, 1646);
  assert.deepEqual(
    damage.map(({ part }) => part),
    ['constants of event formats'],
  );
});

test('broken lists and calls never hang', () => {
  const random = new Random(5);
  for (let round = 0; round < 4; round++) {
    const { view: damaged, write } = damagedView();
    const size = damaged.types.requireStruct('trace_event_call').size;
    const own = [...readKernelFormats(damaged).all].length;
    let call = damaged.memory.pointer(damaged.address('ftrace_events')) as bigint;
    for (let left = 10; left > 0; left--) {
      const at = call + BigInt(random.below(size / 8) * 8);
      call = damaged.memory.pointer(call);
      write(at, random.pick([0n, 1n, call, 0xffffffffffffffffn, damaged.address('ftrace_events')]));
    }
    assert.ok(readKernelFormats(damaged, []).all.length <= own);
    readKernelNames(damaged, []);
  }
});

test('names of a kernel that traced nothing: strings of tracepoints, symbols, no command lines', () => {
  const damage: Damage[] = [];
  const names = readKernelNames(view, damage);
  assert.deepEqual(damage, []);
  assert.deepEqual([...names.comms()], []);
  assert.deepEqual([...names.threadGroups()], []);
  assert.equal(names.comm(0), '<idle>');
  assert.equal(names.comm(1), undefined);
  const formats = [...names.printkFormats()];
  assert.ok(formats.length > 50);
  const [address, text] = formats.find(([, one]) => one === 'rcu_preempt') ?? [0n, ''];
  assert.equal(names.printkFormat(address), text);
  assert.equal(names.printkFormat(0x1000n), undefined);
  assert.match(names.string(view.address('linux_banner')) ?? '', /^Linux version 7\.2/);
  assert.equal(names.symbol(view.address('schedule') + 4n)?.symbol.name, 'schedule');
  assert.equal(names.hashPointer?.(0xffff888000000000n), names.hashPointer?.(0xffff888000000000n));
});

test('saved command lines and thread groups are read from where the kernel keeps them', () => {
  const { view: damaged, write, writeBytes, make } = damagedView();
  const type = damaged.types.requireStruct('saved_cmdlines_buffer');
  const buffer = damaged.memory.pointer(damaged.address('savedcmd'));
  const owners = damaged.memory.pointer(buffer + BigInt(type.require('map_cmdline_to_pid').offset));
  const slots = buffer + BigInt(type.require('saved_cmdlines').offset);
  writeBytes(owners, new Uint8Array(Uint32Array.of(0x18001, 77).buffer));
  // Process 77 was given another slot since.
  writeBytes(buffer + 4n, new Uint8Array(Uint32Array.of(0).buffer));
  writeBytes(slots, new TextEncoder().encode('first\0'));
  const groups = make('task_struct').address;
  writeBytes(groups, new Uint8Array(Uint32Array.of(0, 1, 0, 1).buffer));
  write(damaged.address('tgid_map'), groups);
  write(damaged.address('tgid_map_max'), 3n);
  const names = readKernelNames(damaged);
  assert.deepEqual([...names.comms()], [[0x18001, 'first']]);
  assert.equal(names.comm(77), undefined);
  assert.deepEqual(
    [...names.threadGroups()],
    [
      [1, 1],
      [3, 1],
    ],
  );
  assert.equal(names.threadGroup(3), 1);
  assert.equal(names.threadGroup(2), undefined);
  assert.equal(names.threadGroup(4), undefined);
});

test('names that are not in the dump are damage', () => {
  const { view: damaged, write, exclude } = damagedView();
  const count = damaged.types.requireStruct('saved_cmdlines_buffer').require('cmdline_num');
  exclude(damaged.memory.pointer(damaged.address('savedcmd')) + BigInt(count.offset));
  write(damaged.address('trace_bprintk_fmt_list'), 0x1000n);
  const damage: Damage[] = [];
  const names = readKernelNames(damaged, damage);
  assert.deepEqual([...names.comms()], []);
  assert.deepEqual(
    damage.map(({ part }) => part),
    ['saved command lines', 'printk formats'],
  );
});

test('pointers are hashed as the test vectors of SipHash-2-4 say', () => {
  // Appendix A of the paper takes 15 bytes; this is the reference implementation's vector for the 8 bytes 00 … 07.
  const bytes = (first: number) =>
    BigInt(`0x${Array.from({ length: 8 }, (_, i) => `0${first + 7 - i}`.slice(-2)).join('')}`);
  assert.equal(sipHash(bytes(0), bytes(0), 0x0f0e0d0c0b0a0908n), 0x93f5f5799a932462n);
});
