import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../bytes/address.js';
import type { KernelSymbol } from '../kernel/symbols.js';
import { bufferOf } from '../testing/sub-buffers.js';
import { traceFormats } from './formats/trace-formats.js';
import type { Trace } from './model.js';
import { NO_NAMES } from './open.js';
import { relocation, traceFor } from './relocation.js';

const MODULES = [
  { address: 0xc2000n, delta: -0x2000n },
  { address: 0xc1000n, delta: 0x10n },
];

test('the kernel moved by one distance, each module by its own', () => {
  const relocate = relocation(0x1000n, MODULES);
  assert.ok(relocate);
  assert.deepEqual([0x8000n, 0xc0fffn, 0xc1000n, 0xc1fffn, 0xc2004n].map(relocate), [
    0x9000n,
    0xc1fffn,
    0xc1010n,
    0xc200fn,
    0xc0004n,
  ]);
  assert.equal(relocation(0n), undefined);
});

test('names are looked up where they are now; symbols are told where they were', () => {
  const symbol: KernelSymbol = { name: 'f', address: virtualAddress(0x9000n), type: 'T' };
  const trace: Trace = {
    source: 'test',
    release: undefined,
    littleEndian: true,
    longSize: 8,
    onlineCpus: undefined,
    formats: traceFormats([], []),
    names: {
      ...NO_NAMES,
      comm: () => 'comm',
      symbol: (address) => (address === 0x9004n ? { symbol, offset: 4, size: 16 } : undefined),
      string: (address) => `at ${address.toString(16)}`,
      symbols: () => [symbol],
    },
    buffers: [],
    clocks: undefined,
    damage: [],
  };
  const relocate = relocation(0x1000n, MODULES);
  assert.ok(relocate);
  const { names } = traceFor(trace, bufferOf([], { relocate }));
  assert.equal(names.symbol(0x8004n)?.symbol.name, 'f');
  assert.equal(names.string(0xc1000n), 'at c1010');
  assert.equal(names.comm(1), 'comm');
  assert.deepEqual(
    Array.from(names.symbols(), ({ address }) => address),
    [0x8000n],
  );
  assert.equal(traceFor(trace, bufferOf([])), trace);
});
