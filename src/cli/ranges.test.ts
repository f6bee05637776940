import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRanges } from './ranges.js';

test('ranges follow one another in the file, unless they say where they begin', () => {
  const text = '# a map\n0-9ffff\n\n0x100000 - 0x1fffff # the second\n4000000-4000fff @ 0x80000000\n5000000-5000fff\n';
  assert.deepEqual(parseRanges(text, 'map'), [
    { physical: 0, fileOffset: 0, size: 0xa0000 },
    { physical: 0x100000, fileOffset: 0xa0000, size: 0x100000 },
    { physical: 0x4000000, fileOffset: 0x80000000, size: 0x1000 },
    { physical: 0x5000000, fileOffset: 0x80001000, size: 0x1000 },
  ]);
});

test('/proc/iomem is such a map: its System RAM, and nothing else', () => {
  const iomem = [
    '00000000-00000fff : Reserved',
    '00001000-0009fbff : System RAM',
    '000f0000-000fffff : System ROM',
    '00100000-0ffdcfff : System RAM',
    '  07e00000-0905b8af : Kernel code',
    'fec00000-fec003ff : IOAPIC 0',
  ];
  assert.deepEqual(parseRanges(iomem.join('\n'), '/proc/iomem'), [
    { physical: 0x1000, fileOffset: 0, size: 0x9ec00 },
    { physical: 0x100000, fileOffset: 0x9ec00, size: 0xfedd000 },
  ]);
});

test('anything else is refused, with its line', () => {
  for (const wrong of ['1000', 'start-end', '2000-1000', '0-fff @', '0-fff extra']) {
    assert.throws(() => parseRanges(`0-fff\n${wrong}`, 'map'), { code: 'EXH_USAGE', message: /^map, line 2: / }, wrong);
  }
});
