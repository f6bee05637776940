import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import { KernelView } from '../../kernel/kernel-view.js';
import { Random } from '../../testing/random.js';
import { openSample } from '../../testing/sample.js';
import { readKernelFormats } from '../formats/kernel-formats.js';
import { readKernelNames } from '../formats/kernel-names.js';
import type { TraceNames } from '../model.js';
import type { PrintContext } from './context.js';
import { compilePrint } from './program.js';
import { type MadeField, madeContext, madeRecord } from './testing/records.js';

/** What an event is printed as; fails where the format is not followed. */
function printed(format: string, fields: readonly MadeField[] = [], names: Partial<TraceNames> = {}): string {
  const made = madeRecord(format, fields);
  const program = compilePrint(made.format, madeContext(names));
  assert.equal(program.fallback, undefined, format);
  const text = program.print(made.record);
  assert.equal(program.failures, 0, format);
  return text;
}

/** What an expression is worth, as a format prints it. */
function worth(conversion: string, expression: string, fields: readonly MadeField[] = []): string {
  return printed(`"${conversion}", ${expression}`, fields);
}

test('fields are printed as the format says', () => {
  const fields: MadeField[] = [
    ['char prev_comm[16]', 'bash', 16],
    ['pid_t prev_pid', -3],
    ['unsigned int flags', 0xffffffff],
    ['u64 big', 0xffff_ffff_ffff_fff0n],
    ['s64 negative', -5n],
    ['__data_loc char[] name', 'eth0'],
    ['bool on', 1],
  ];
  assert.equal(
    printed(
      '"comm=%s pid=%d flags=%x %u big=%llu %llx neg=%lld name=%s on=%d", REC->prev_comm, REC->prev_pid, REC->flags, ' +
        'REC->flags, REC->big, REC->big, REC->negative, __get_str(name), REC->on',
      fields,
    ),
    'comm=bash pid=-3 flags=ffffffff 4294967295 big=18446744073709551600 fffffffffffffff0 neg=-5 name=eth0 on=1',
  );
  assert.equal(printed('"%s" " and " "%%", __get_str(name)', fields), 'eth0 and %');
});

test('integers behave as those of C', () => {
  for (const [conversion, expression, expected] of [
    ['%d', '7 / -2', '-3'],
    ['%d', '-7 % 3', '-1'],
    ['%u', '-1', '4294967295'],
    ['%lu', '(unsigned long)-1', '18446744073709551615'],
    ['%d', '-1 < 1u', '0'],
    ['%d', '-1L < 1u', '1'],
    ['%d', '(unsigned char)300', '44'],
    ['%d', '(s8)200', '-56'],
    ['%lx', '1UL << 63', '8000000000000000'],
    ['%x', '1U << 31', '80000000'],
    ['%llx', '~0ULL >> 4', 'fffffffffffffff'],
    ['%lx', '(0xffffffffffffffffUL & ~0xffUL) | 0x12', 'ffffffffffffff12'],
    ['%ld', '(long)0xffffffff80000000UL', '-2147483648'],
    ['%d', '1 ? 2 : 3', '2'],
    ['%d', '0 ?: 3', '3'],
    ['%d', '!5 || !!5 && 1', '1'],
    ['%d', "'A'", '65'],
    ['%d', '010 + 0x10 + 0b11', '27'],
    ['%lu', 'sizeof(u64) + sizeof(unsigned short) + sizeof(void *) + sizeof("abc")', '22'],
    ['%llu', '(u64)0xffffffff * 0xffffffff', '18446744065119617025'],
    ['%d', '(int)0xffffffff', '-1'],
    ['%hhx', '0x1234', '34'],
    ['%hd', '0x18000', '-32768'],
    ['%d', '({ int x = 5; u8 y = 300; x += y; x * 2; })', '98'],
    ['%d', '({ typeof(3) x__1 = (7); int y = (128); (x__1) < (y) ? (x__1) : (y); })', '7'],
    ['%d', '(5 & 6) | (1 ^ 8)', '13'],
    ['%d', '2 + 3 * 4 - 6 / 2 % 2', '13'],
    ['%d', '1 << 2 + 1', '8'],
    ['%d', '(bool)256 + (bool)0', '1'],
    ['%lld', '(long long)(1 ? -1 : 1u)', '4294967295'],
    ['%lld', '(0 ? 1UL : 1) << 40', '1099511627776'],
    ['%d', '1 ? 2 : not_known()', '2'],
  ] as const) {
    assert.equal(worth(conversion, expression), expected, expression);
  }
});

test('values of fields behave as those of C', () => {
  const fields: MadeField[] = [
    ['u32 dev', 0x0080_0003],
    ['u64 word', 0x8000_0000_0000_0001n],
    ['s16 small', -2],
    ['u8 byte', 0xff],
    ['unsigned long pfn', 0x1234n],
    ['long minus', -1n],
  ];
  for (const [conversion, expression, expected] of [
    ['%d', '((unsigned int) ((REC->dev) >> 20))', '8'],
    ['%d', '((unsigned int) ((REC->dev) & ((1U << 20) - 1)))', '3'],
    ['%llu', 'REC->word >> 1', '4611686018427387904'],
    ['%llx', 'REC->word + REC->word', '2'],
    ['%d', 'REC->small >> 1', '-1'],
    ['%d', 'REC->byte + 1', '256'],
    ['%d', '~REC->byte', '-256'],
    ['%d', 'REC->pfn != -1UL', '1'],
    ['%d', 'REC->minus == -1L', '1'],
    ['%d', 'REC->minus == -1UL', '1'],
    ['%lu', '(unsigned long)REC->small', '18446744073709551614'],
    ['%d', 'REC->ent.pid', '1234'],
    ['%d', '(bool)REC->dev + (bool)REC->word', '2'],
    ['%d', 'REC->common_pid + 1', '1235'],
    ['%s', 'REC->byte & 0x80 ? "high" : "low"', 'high'],
    ['%c', "REC->small < 0 ? 'N' : 'P'", 'N'],
    ['%llu', '__print_ns_to_secs(5123456789ULL)', '5'],
    ['%u', '__print_ns_without_secs(5123456789ULL)', '123456789'],
    ['%d', '__event_in_hardirq() ? 1 : 0', '1'],
    ['%d', '__event_in_softirq() ? 1 : 0', '0'],
  ] as const) {
    assert.equal(worth(conversion, expression, fields), expected, expression);
  }
});

test('flags and symbols are told by name, and what has none in hexadecimal', () => {
  const fields: MadeField[] = [
    ['unsigned long flags', 0x13n],
    ['int state', 2],
    ['int odd', -1],
  ];
  const list = '{ 0x1, "A" }, { 0x2, "B" }, { 0x3, "AB" }, { ((void *)0), ((void *)0) }';
  assert.equal(worth('%s', `__print_flags(REC->flags, "|", ${list})`, fields), 'A|B|0x10');
  assert.equal(worth('%s', '__print_flags(REC->flags & 0, "|", { 1, "A" })', fields), '');
  assert.equal(worth('%s', '__print_flags(REC->flags, "", { 3, "3" }, { 0x10, "16" })', fields), '316');
  assert.equal(worth('%s', '__print_symbolic(REC->state, { 1, "one" }, { 2, "two" }, { 2, "too" })', fields), 'two');
  assert.equal(worth('%s', '__print_symbolic(REC->odd, { 1, "one" }, { -1, "minus" })', fields), 'minus');
  assert.equal(worth('%s', '__print_symbolic(REC->odd, { 1, "one" })', fields), '0xffffffffffffffff');
  const names: Partial<TraceNames> = { constant: (name) => (name === 'TCP_CLOSE' ? 7n : undefined) };
  assert.equal(printed('"%s", __print_symbolic(7, { TCP_CLOSE, "TCP_CLOSE" })', [], names), 'TCP_CLOSE');
});

test('arrays and dynamic arrays', () => {
  const bytes = Uint8Array.of(0xde, 0xad, 0xbe, 0xef);
  const fields: MadeField[] = [
    ['u8 mac[6]', Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56)],
    ['u32 words[2]', Uint8Array.of(1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)],
    ['__data_loc u8[] raw', bytes],
    ['__rel_loc char[] rel', 'relative'],
    ['__data_loc cpumask_t cpus', Uint8Array.of(0x0f, 0, 0, 0, 1, 0, 0, 0)],
  ];
  for (const [conversion, expression, expected] of [
    ['%pM', 'REC->mac', '52:54:00:12:34:56'],
    ['%02x', 'REC->mac[3]', '12'],
    ['%x', 'REC->words[1]', 'ffffffff'],
    ['%s', '__print_array(REC->words, 2, 4)', '{0x1,0xffffffff}'],
    ['%s', '__print_hex(__get_dynamic_array(raw), __get_dynamic_array_len(raw))', 'de ad be ef'],
    ['%s', '__print_hex_str(&REC->mac[1], 2)', '5400'],
    ['%s', '__print_dynamic_array(raw, 1)', '{0xde,0xad,0xbe,0xef}'],
    ['%s', '__print_dynamic_array(raw, sizeof(u16))', '{0xadde,0xefbe}'],
    ['%s', '__get_rel_str(rel)', 'relative'],
    ['%s', '__get_cpumask(cpus)', '00000001,0000000f'],
    ['%x', '*(u16 *)__get_dynamic_array(raw)', 'adde'],
    ['%x', '((u8 *)__get_dynamic_array(raw))[2]', 'be'],
    ['%*ph', '4, __get_dynamic_array(raw)', 'de ad be ef'],
    ['%*phN', '2, __get_dynamic_array(raw) + 1', 'adbe'],
    ['%s', '__get_dynamic_array(raw) ? "some" : "none"', 'some'],
    ['%lu', 'sizeof(REC->words) / sizeof(REC->words[0])', '2'],
    [
      '%s',
      '__print_hex_dump("raw: ", DUMP_OFFSET, 16, 1, __get_dynamic_array(raw), __get_dynamic_array_len(raw), true)',
      `\nraw: 00000000: de ad be ef${' '.repeat(38)}....\n`,
    ],
  ] as const) {
    const names: Partial<TraceNames> = { constant: (name) => (name === 'DUMP_OFFSET' ? 2n : undefined) };
    assert.equal(printed(`"${conversion}", ${expression}`, fields, names), expected, expression);
  }
});

test('pointers are printed as the kernel prints them', () => {
  const fields: MadeField[] = [
    ['void * function', 0xffff_ffff_8100_0010n],
    ['void * nothing', 0],
    ['long error', -2n],
    ['u8 ip[4]', Uint8Array.of(192, 168, 0, 1)],
    ['u8 ip6[16]', Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
    ['u8 socket[28]', Uint8Array.of(2, 0, 0x1f, 0x90, 127, 0, 0, 1, ...new Array<number>(20).fill(0))],
    ['u8 uuid[16]', Uint8Array.from({ length: 16 }, (_, at) => at)],
    ['char * constant', 0xffff_ffff_8200_0000n],
  ];
  const symbol = { name: 'schedule', address: virtualAddress(0xffff_ffff_8100_0000n), type: 'T' };
  const names: Partial<TraceNames> = {
    symbol: (address) => ({ symbol, offset: Number(address - symbol.address), size: 0x40 }),
    hashPointer: () => 0x1234abcd,
    string: (address) => (address === 0xffff_ffff_8200_0000n ? 'of the kernel' : undefined),
  };
  for (const [conversion, expression, expected] of [
    ['%p', 'REC->function', '000000001234abcd'],
    ['%px', 'REC->function', 'ffffffff81000010'],
    ['%p', 'REC->nothing', '0000000000000000'],
    ['%p', '(void *)REC->error', 'fffffffffffffffe'],
    ['%pe', '(void *)REC->error', '-ENOENT'],
    ['%pS', 'REC->function', 'schedule+0x10/0x40'],
    ['%ps', '(void *)REC->function', 'schedule'],
    ['%pB', 'REC->function', 'schedule+0x10/0x40'],
    ['%-10ps|', 'REC->function', 'schedule  |'],
    ['%pI4', 'REC->ip', '192.168.0.1'],
    ['%pi4', 'REC->ip', '192.168.000.001'],
    ['%pI4h', 'REC->ip', '1.0.168.192'],
    ['%pI6', 'REC->ip6', 'fe80:0000:0000:0000:0000:0000:0000:0001'],
    ['%pI6c', 'REC->ip6', 'fe80::1'],
    ['%pISpc', 'REC->socket', '127.0.0.1:8080'],
    ['%pUb', 'REC->uuid', '00010203-0405-0607-0809-0a0b0c0d0e0f'],
    ['%pUL', 'REC->uuid', '03020100-0504-0706-0809-0A0B0C0D0E0F'],
    ['%s', 'REC->constant', 'of the kernel'],
    ['%s', 'REC->nothing', '(null)'],
    ['%s', 'NULL', '(null)'],
    ['%*pbl', '16, REC->ip', '6-7,11,13,15'],
  ] as const) {
    assert.equal(printed(`"${conversion}", ${expression}`, fields, names), expected, conversion);
  }
  const { format, record } = madeRecord('"%p", REC->function', fields);
  const plain = { ...madeContext(names), options: new Set<string>() };
  assert.equal(compilePrint(format, plain).print(record), 'ffffffff81000010', 'the option hash-ptr is off');
  assert.equal(compilePrint(format, madeContext()).print(record), 'ffffffff81000010', 'the key is not known');
  const old = { ...plain, names: { ...plain.names, constant: () => undefined } };
  assert.equal(compilePrint(format, old).print(record), '000000001234abcd', 'there is no such option');
  const keyless = madeContext({ hashPointer: () => undefined });
  assert.equal(compilePrint(format, keyless).print(record), '(____ptrval____)', 'there was no key yet');
  const wide = { ...plain, options: new Set<string>() };
  const padded = madeRecord('"%-18p|", REC->function', fields);
  assert.equal(
    compilePrint(padded.format, wide).print(padded.record),
    '1234abcd          |',
    'only a bare %p is shown raw',
  );
});

test('memory map addresses of 6.1 and 7.2: structures are counted in their own size', () => {
  const names: Partial<TraceNames> = {
    variable: (name) => (name === 'vmemmap_base' ? 0xffff_ea00_0000_0000n : undefined),
    type: (name) => (name === 'struct page' ? { size: 64, signed: false } : undefined),
  };
  assert.equal(
    printed(
      '"page=%px pfn=0x%lx", REC->pfn != -1UL ? (((struct page *)vmemmap_base) + (REC->pfn)) : ((void *)0), ' +
        'REC->pfn != -1UL ? REC->pfn : 0',
      [['unsigned long pfn', 0x1000n]],
      names,
    ),
    'page=ffffea0000040000 pfn=0x1000',
  );
});

test('what cannot be followed is shown field by field, with the reason', () => {
  for (const [format, reason] of [
    ['"%s", xen_hypercall_name(REC->op)', /calls xen_hypercall_name/],
    ['"%d", REC->missing', /no missing/],
    ['"%d %d", REC->op', /fewer arguments/],
    ['"%d", NOT_A_CONSTANT', /NOT_A_CONSTANT is not known/],
    ['"%d", REC->op +', /ends too early/],
    ['"%d", `', /is no C/],
    ['', /ends too early/],
    ['REC->op', /does not begin with a text/],
    ['"%d", (struct foo)REC->op', /casts/],
    ['"%s", REC->op', /number is taken for a text/],
    ['"%pI4", (void *)REC->op', /outside of the record/],
    [`"%d", ${'('.repeat(2000)}1`, /too deep/],
    [`"%d", ${'{'.repeat(100_000)}1`, /too deep/],
    [`"%d", 1${' + 1'.repeat(100_000)}`, /too deep/],
    [`"%d", REC->op${'[0]'.repeat(100_000)}`, /too deep/],
    [`"%d", REC->op${'.a'.repeat(100_000)}`, /too deep/],
    [`"%d", ${'~'.repeat(2000)}1`, /too deep/],
  ] as const) {
    const made = madeRecord(format, [
      ['int op', 7],
      ['char name[4]', 'abc'],
    ]);
    const program = compilePrint(made.format, madeContext());
    assert.match(program.fallback ?? '', reason, format);
    assert.equal(program.print(made.record), ' op=7 name=abc', format);
  }
});

test('formats that would take for ever are given up', () => {
  let nested = 'REC->op';
  for (let depth = 0; depth < 60; depth++) nested = `(${nested} ?: 0)`;
  let constant = '1';
  for (let depth = 0; depth < 60; depth++) constant = `(${constant} ?: 0)`;
  assert.equal(worth('%d', constant), '1');
  let pointers = '';
  for (let depth = 0; depth < 60; depth++) pointers += `char *p${depth + 1} = p${depth} + (p${depth} - p${depth}); `;
  for (const format of [`"%d", ${nested}`, `"%s", ({ char *p0 = REC->name; ${pointers} p60; })`]) {
    const made = madeRecord(format, [
      ['int op', 1],
      ['char name[4]', 'abc'],
    ]);
    const program = compilePrint(made.format, madeContext());
    assert.equal(program.fallback, undefined);
    assert.equal(program.print(made.record), ' op=1 name=abc');
    assert.match(program.fallback ?? '', /too long/);
  }
});

test('records that do not fit their format are shown field by field, and counted', () => {
  const made = madeRecord('"%d %d", REC->op, 10 / REC->op', [['int op', 0]]);
  const program = compilePrint(made.format, madeContext());
  assert.equal(program.print(made.record), ' op=0');
  assert.equal(program.print({ ...made.record, length: 9 }), ' op=0');
  assert.equal(program.failures, 2);
  assert.equal(program.fallback, undefined);
});

const view = new KernelView(openSample().kernel);
const real: PrintContext = {
  formats: readKernelFormats(view),
  names: readKernelNames(view),
  littleEndian: true,
  longSize: 8,
};

test('of the events of a real kernel only those are not followed that call functions of drivers', () => {
  const fallbacks = real.formats.all
    .map((format) => compilePrint(format, real))
    .filter(({ fallback }) => fallback !== undefined)
    .map(({ format, fallback }) => `${format.name}: ${fallback}`);
  assert.deepEqual(fallbacks.sort(), [
    'nvme_setup_cmd: it calls nvme_trace_parse_fabrics_cmd()',
    'prq_report: it calls decode_prq_descriptor()',
    'xen_mc_entry: it calls xen_hypercall_name()',
    'xen_mc_extend_args: it calls xen_hypercall_name()',
  ]);
});

test('mutated formats and records of a real kernel are printed in bounded time, and nothing is thrown', () => {
  const random = new Random(7);
  const signs = [
    '(',
    ')',
    '*',
    '%',
    '"',
    ',',
    '?',
    ':',
    'REC->',
    '-',
    '[',
    ']',
    '9999999999',
    '<<',
    '{',
    '}',
    '&',
    '%*d',
    '%99999999s',
  ];
  const formats = real.formats.all;
  const bytes = new Uint8Array(512);
  const viewed = new DataView(bytes.buffer);
  for (let round = 0; round < 6000; round++) {
    const format = formats[random.below(formats.length)];
    if (format === undefined) continue;
    let { printFormat } = format;
    for (let left = random.below(4); left > 0; left--) {
      const at = random.below(printFormat.length + 1);
      const sign = signs[random.below(signs.length)] ?? '';
      printFormat = printFormat.slice(0, at) + sign + printFormat.slice(at + random.below(3));
    }
    const program = compilePrint({ ...format, printFormat }, real);
    for (let event = 0; event < 4; event++) {
      for (let at = 0; at < bytes.length; at++) bytes[at] = random.pick([0, 0, 1, random.below(256)]);
      const length = random.below(bytes.length - 16);
      const text = program.print({ bytes, view: viewed, start: 8, length });
      assert.ok(text.length < 1 << 20, printFormat);
    }
  }
});
