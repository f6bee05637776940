import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill, parseFormat } from './conversion.js';
import { bytesPointedTo, errorPointer, formatPointed } from './pointed-bytes.js';

const ORDER = { littleEndian: true, longSize: 8 };

/** A `%p` conversion of bytes; `width` fills in a `*`. */
function printed(format: string, bytes: ArrayLike<number>, width = 0, order = ORDER): string | undefined {
  const [part] = parseFormat(format, 8);
  assert.ok(typeof part === 'object');
  return formatPointed(Uint8Array.from(bytes), fill(part, width, 0), order);
}

const text = (characters: string) => Array.from(characters, (one) => one.charCodeAt(0));
/** A number of 8 bytes, little endian. */
const word = (value: bigint) => Array.from({ length: 8 }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn));
const SIX = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 1];

test('what pointers point to is printed as lib/vsprintf.c prints it', () => {
  for (const [format, bytes, expected, width] of [
    ['%pM', [1, 2, 3, 0xab, 5, 6], '01:02:03:ab:05:06'],
    ['%pMF', [1, 2, 3, 0xab, 5, 6], '01-02-03-ab-05-06'],
    ['%pMR', [1, 2, 3, 0xab, 5, 6], '06:05:ab:03:02:01'],
    ['%pMFU', [1, 2, 3, 0xab, 5, 6], '01-02-03-AB-05-06'],
    ['%pm', [1, 2, 3, 0xab, 5, 6], '010203ab0506'],
    ['%20pM|', [1, 2, 3, 0xab, 5, 6], '   01:02:03:ab:05:06'],
    ['%pI4n', [1, 2, 3, 4], '1.2.3.4'],
    ['%pI4l', [1, 2, 3, 4], '4.3.2.1'],
    ['%pi6', SIX, 'fe800000000000000000123400000001'],
    ['%pI6c', SIX, 'fe80::1234:0:1'],
    ['%pI6c', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1], '::ffff:10.0.0.1'],
    ['%pI6c', [0x20, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0x5e, 0xfe, 10, 0, 0, 1], '2001:1:0:1:0:5efe:10.0.0.1'],
    ['%pI6c', new Array<number>(16).fill(0), '::'],
    ['%pI6c', [0, 1, 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7], '1:0:2:3:4:5:6:7'],
    ['%pI5', SIX, '(%pI?)'],
    ['%pIS', [2, 0, 0, 80, 10, 0, 0, 1], '10.0.0.1'],
    ['%piSp', [2, 0, 0, 80, 10, 0, 0, 1], '010.000.000.001:80'],
    ['%pISpfsc', [10, 0, 1, 187, 0, 0, 0, 9, ...SIX, 3, 0, 0, 0], '[fe80::1234:0:1]:443/9%3'],
    ['%pISpc', [1, 0, 0, 0], '(einval)'],
    ['%*ph', [1, 2, 0xff], '01 02 ff', 3],
    ['%*phC', [1, 2, 0xff], '01:02:ff', 3],
    ['%*phD', [1, 2, 0xff], '01-02-ff', 3],
    ['%*pb', [0x0f, 0x80, 0, 0, 1], '1,0000800f', 36],
    ['%*pbl', [0x0f, 0x80, 0, 0, 1], '0-3,15,32', 36],
    ['%*pb', [], '0', 4],
    ['%pa', word(0x1234n), '0x0000000000001234'],
    ['%pad', word(0x1234n), '0x0000000000001234'],
    ['%pNF', word(0xffn), '0x00000000000000ff'],
    ['%pUB', [...Array(16).keys()], '00010203-0405-0607-0809-0A0B0C0D0E0F'],
    ['%pUl', [...Array(16).keys()], '03020100-0504-0706-0809-0a0b0c0d0e0f'],
    ['%*pE', text('a\n\\"\0\x01b'), 'a\\n\\"\\0\\001b', 7],
    ['%*pEh', text('a\n'), '\\x61\\x0a', 2],
    ['%*pEp', text('a\n'), 'a\n', 2],
    ['%*pEhp', text('a\n'), 'a\\x0a', 2],
    ['%*pEs', text('\ta\x1b'), '\\ta\x1b', 3],
    ['%p4cc', text('BG12'), 'BG12 little-endian (0x32314742)'],
    ['%p4cb', [0x01, 0x42, 0x43, 0x44], '.BCD (0x01424344)'],
    ['%p4ch', text('DCBA'), 'ABCD (0x41424344)'],
    ['%p4chR', text('DCBA'), 'DCBA (0x44434241)'],
    ['%p4x', text('DCBA'), '(%p4?)'],
    ['%ptT', word(1_700_000_000n), '2023-11-14T22:13:20'],
    ['%ptTs', word(1_700_000_000n), '2023-11-14 22:13:20'],
    ['%ptTd', word(1_700_000_000n), '2023-11-14'],
    ['%ptTt', word(1_700_000_000n), '22:13:20'],
    ['%ptTr', word(1_700_000_000n), '0123-10-14T22:13:20'],
    ['%ptS', [...word(1_700_000_000n), ...word(5n)], '2023-11-14T22:13:20.000000005'],
    ['%ptSp', [...word(1_700_000_000n), ...word(5n)], '1700000000.000000005'],
    ['%ptR', [20, 0, 0, 0, 13, 0, 0, 0, 22, 0, 0, 0, 14, 0, 0, 0, 10, 0, 0, 0, 123, 0, 0, 0], '2023-11-14T22:13:20'],
    ['%ptX', [], '(%pt?)'],
    ['%pd', [1], undefined],
  ] as readonly (readonly [string, ArrayLike<number>, string | undefined, number?])[]) {
    assert.equal(printed(format, bytes, width), expected, format);
  }
});

test('another byte order', () => {
  const big = { littleEndian: false, longSize: 8 };
  assert.equal(printed('%pa', word(0x1234n).reverse(), 0, big), '0x0000000000001234');
  assert.equal(printed('%*pbl', [0, 0, 0, 0, 0, 0, 0x80, 0x0f], 64, big), '0-3,15');
  assert.equal(printed('%pI4h', [1, 2, 3, 4], 0, big), '1.2.3.4');
});

test('a width from the record takes no more bytes than the kernel does', () => {
  assert.equal(bytesPointedTo('h', 1 << 20), 64);
  assert.equal(bytesPointedTo('S', undefined), undefined);
});

test('error pointers are told by name', () => {
  for (const [value, expected] of [
    [0xffff_ffff_ffff_fffen, '-ENOENT'],
    [0xffff_ffff_ffff_ffc6n, '-58'],
    [0xffff_ffff_ffff_fdfbn, '-EPROBE_DEFER'],
    [0xffff_ffff_ffff_fe00n, '-ERESTARTSYS'],
    [0, undefined],
    [0xffff_ffff_ffff_0000n, undefined],
  ] as const) {
    assert.equal(errorPointer(value, 8), expected, value.toString(16));
  }
});
