import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isExhumeError } from '../../bytes/errors.js';
import { Random } from '../../testing/random.js';
import { parseFormatFile, writeFormatFile } from './format-file.js';
import { traceFormats, USUAL_COMMON_FIELDS } from './trace-formats.js';

const COMMON = `\
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
`;

const WAKEUP = `name: sched_wakeup
ID: 318
format:
${COMMON}
	field:char comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t pid;	offset:24;	size:4;	signed:1;
	field:int prio;	offset:28;	size:4;	signed:1;
	field:int target_cpu;	offset:32;	size:4;	signed:1;

print fmt: "comm=%s pid=%d prio=%d target_cpu=%03d", REC->comm, REC->pid, REC->prio, REC->target_cpu
`;

const MADE_UP = `name: made_up
ID: 2001
format:
${COMMON}
	field:__data_loc char[] name;	offset:8;	size:4;	signed:1;
	field:__rel_loc u8 raw[];	offset:12;	size:4;	signed:0;
	field:const void * ptr;	offset:16;	size:8;	signed:0;
	field:unsigned long args[];	offset:24;	size:0;	signed:0;

print fmt: "%s print fmt: x", __get_str(name)
`;

test('a format file is read as it says', () => {
  const { format, common } = parseFormatFile(WAKEUP, 'sched');
  assert.deepEqual(common, USUAL_COMMON_FIELDS);
  assert.equal(format.id, 318);
  assert.equal(format.system, 'sched');
  assert.equal(format.name, 'sched_wakeup');
  assert.deepEqual(format.fields[0], { name: 'comm', type: 'char[16]', offset: 8, size: 16, signed: false });
  assert.deepEqual(format.fields[3], { name: 'target_cpu', type: 'int', offset: 32, size: 4, signed: true });
  assert.ok(format.printFormat.endsWith('REC->target_cpu'));
});

test('arrays keep their length with the type', () => {
  const { format } = parseFormatFile(MADE_UP, 'mine');
  assert.deepEqual(
    format.fields.map((field) => field.type),
    ['__data_loc char[]', '__rel_loc u8[]', 'const void *', 'unsigned long[]'],
  );
  assert.equal(format.printFormat, '"%s print fmt: x", __get_str(name)');
});

test('what is written is what was read, byte for byte', () => {
  for (const text of [WAKEUP, MADE_UP]) {
    const { format, common } = parseFormatFile(text, 'x');
    assert.equal(writeFormatFile(format, common), text);
  }
});

test('a file without a name or a number is none', () => {
  for (const text of ['', 'name: x\n', WAKEUP.replace('ID: 318', 'ID: many')]) {
    assert.throws(
      () => parseFormatFile(text, 'x'),
      (error) => isExhumeError(error, 'EXH_BAD_STRUCTURE'),
    );
  }
});

test('broken files are read in part, or refused', () => {
  const random = new Random(7);
  for (let round = 0; round < 2000; round++) {
    const bytes = new TextEncoder().encode(WAKEUP);
    random.mutate(bytes);
    const text = new TextDecoder('latin1').decode(bytes.subarray(0, random.below(bytes.length + 1)));
    try {
      const { format, common } = parseFormatFile(text, 'sched');
      assert.ok(format.fields.length + common.length <= 8);
    } catch (error) {
      assert.ok(isExhumeError(error, 'EXH_BAD_STRUCTURE'));
    }
  }
});

test('formats are found by number and by name', () => {
  const wakeup = parseFormatFile(WAKEUP, 'sched').format;
  const other = parseFormatFile(MADE_UP, 'mine').format;
  const formats = traceFormats(USUAL_COMMON_FIELDS, [other, wakeup, { ...other, name: 'same_number' }]);
  assert.equal(formats.byId(318), wakeup);
  assert.equal(formats.byId(2001), other);
  assert.equal(formats.byId(1), undefined);
  assert.equal(formats.find('sched', 'sched_wakeup'), wakeup);
  assert.equal(formats.find('mine', 'sched_wakeup'), undefined);
  assert.deepEqual(formats.all, [wakeup, other]);
});
