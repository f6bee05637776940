import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../../bytes/address.js';
import type { KernelSymbol } from '../../kernel/symbols.js';
import { Random } from '../../testing/random.js';
import { bufferOf, RecordWriter } from '../../testing/sub-buffers.js';
import { traceFormats, USUAL_COMMON_FIELDS } from '../formats/trace-formats.js';
import type { NamedKernel } from '../open.js';
import { movedText, textDistance } from './text-place.js';

const LINKED = 0xffff_ffff_8100_0000n;
const MOVED = 0x1e00_0000n;
const FUNCTION = {
  id: 1,
  system: 'ftrace',
  name: 'function',
  fields: [{ name: 'ip', type: 'unsigned long', offset: 8, size: 8, signed: false }],
  printFormat: '',
};
const FORMATS = traceFormats(USUAL_COMMON_FIELDS, [FUNCTION]);

/** Functions at odd places of 16 MiB, some of which were traced. */
function kernel(count = 500): { starts: bigint[]; symbols: KernelSymbol[] } {
  const random = new Random(4);
  const starts = Array.from({ length: count }, () => LINKED + BigInt(random.below(0x10_0000)) * 16n);
  const symbols = starts.map((address, index) => ({
    address: virtualAddress(address),
    name: `function${index}`,
    type: 't',
    module: undefined,
  }));
  return { starts, symbols: symbols as unknown as KernelSymbol[] };
}

function traced(addresses: readonly bigint[]) {
  const writer = new RecordWriter(1000n);
  addresses.forEach((address, index) => {
    writer.event(1000n + BigInt(index), 1, 7, new Uint8Array(BigUint64Array.of(address).buffer));
  });
  return [bufferOf([[writer.done()]])];
}

test('the distance is that by which most traced functions are functions, behind an ENDBR or not', () => {
  const { starts, symbols } = kernel();
  for (const offset of [0n, 4n]) {
    const some = starts.slice(0, 40).map((address) => address + MOVED + offset);
    assert.equal(textDistance(traced(some), FORMATS, symbols), -MOVED);
    // A third of them are of modules.
    const modules = Array.from({ length: 20 }, (_, index) => 0xffff_ffff_c000_0010n + BigInt(index * 48));
    assert.equal(textDistance(traced([...some, ...modules]), FORMATS, symbols), -MOVED);
  }
});

test('too few functions, or functions of another build, tell nothing', () => {
  const { starts, symbols } = kernel();
  assert.equal(textDistance(traced(starts.slice(0, 7)), FORMATS, symbols), undefined);
  const other = starts.slice(0, 60).map((address, index) => address + BigInt(index * 80 + 16));
  assert.equal(textDistance(traced(other), FORMATS, symbols), undefined);
  assert.equal(textDistance(traced(starts.slice(0, 40)), traceFormats([], []), symbols), undefined);
});

test('addresses of the kernel are moved; those of modules lead nowhere', () => {
  const places: Record<string, bigint> = { _text: LINKED, _end: LINKED + 0x200_0000n };
  const from = { symbolAddress: (name: string) => places[name] } as unknown as NamedKernel;
  const moved = movedText(-MOVED, from);
  assert.equal(moved?.(LINKED + MOVED + 0x1234n), LINKED + 0x1234n);
  assert.equal(moved?.(0xffff_ffff_c000_0010n), 0n);
  assert.equal(movedText(-MOVED, { ...from, symbolAddress: () => undefined }), undefined);
});
