import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../bytes/address.js';
import { isExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import { Random } from '../testing/random.js';
import { openSample } from '../testing/sample.js';
import { Kallsyms, type KallsymsEncoding } from './kallsyms.js';
import { KallsymsNames } from './kallsyms-names.js';
import { scanKallsyms } from './kallsyms-scan.js';
import { symbolize } from './symbols.js';
import { type ImageOptions, kallsymsImage, type LaidOutSymbol } from './testing/kallsyms-image.js';

const TEXT = 0xffffffff9b000000n;
const START = TEXT + 0x1000000n;

/** Real names of a kernel at new addresses, three per-CPU offsets before them, and one name longer than 127 bytes. */
function laidOutSymbols(count: number): LaidOutSymbol[] {
  const percpu = ['__per_cpu_start', 'fixed_percpu_data', 'cpu_debug_store'].map((name, i) => ({
    name,
    type: 'A',
    address: BigInt(i * 0x1000),
  }));
  const real: LaidOutSymbol[] = [];
  for (const { name, type } of openSample().kernel.symbols.all()) {
    if (real.length === count) break;
    // Two symbols share an address now and then, as aliases do.
    real.push({ name, type, address: TEXT + BigInt((real.length >> 1) * 24) });
  }
  const big = { name: `_RNv${'Cs1234_7___rustc'.repeat(12)}`, type: 't', address: TEXT + 0x800000n };
  return [...percpu, ...real, big];
}

/** Decodes the one set of tables in an image. */
function decode(image: Uint8Array, options: ImageOptions): Kallsyms[] {
  const found: Kallsyms[] = [];
  for (const places of scanKallsyms(image, true)) {
    const names = new KallsymsNames({
      count: places.count,
      names: image.subarray(places.names, places.tokenTable),
      tokenTable: image.subarray(places.tokenTable, places.tokenIndex),
      tokenIndex: image.subarray(places.tokenIndex, places.tokenIndex + 512),
      littleEndian: true,
    });
    for (const { at, relativeBaseAt, width } of places.offsetTables) {
      if ((width === 8) !== (options.encoding === 'absolute')) continue;
      const base =
        relativeBaseAt === undefined ? options.start + BigInt(at) : viewOf(image).getBigUint64(relativeBaseAt, true);
      if (relativeBaseAt !== undefined && base !== options.relativeBase) continue;
      if ((relativeBaseAt === undefined) === (options.encoding !== 'place-relative' && options.encoding !== 'absolute'))
        continue;
      const offsets = image.subarray(at, at + places.count * width);
      found.push(
        new Kallsyms(names, { offsets, base: virtualAddress(base), encoding: options.encoding, littleEndian: true }),
      );
    }
  }
  return found;
}

const LAYOUTS: readonly Partial<ImageOptions>[] = [
  { order: 'old', encoding: 'absolute' },
  { order: 'old', encoding: 'absolute-percpu', markerBytes: 8 },
  { order: 'old', encoding: 'absolute-percpu' },
  { order: 'old', encoding: 'absolute-percpu', sequences: true },
  { order: 'new', encoding: 'absolute-percpu', sequences: true },
  { order: 'new', encoding: 'base-relative', sequences: true },
  { order: 'new', encoding: 'place-relative', sequences: true },
  // One of the two has the token index at no multiple of 8.
  { order: 'new', encoding: 'place-relative', sequences: true, alignment: 4, begin: 0 },
  { order: 'new', encoding: 'place-relative', sequences: true, alignment: 4, begin: 4 },
];

for (const layout of LAYOUTS) {
  const title = `${layout.order} order, ${layout.encoding}${layout.markerBytes === 8 ? ', 8-byte markers' : ''}${layout.sequences ? ', sequence numbers' : ''}${layout.alignment === 4 ? `, in words of 4 from ${layout.begin} on` : ''}`;
  test(`the scan finds tables in the ${title}, and every symbol comes out`, () => {
    const encoding: KallsymsEncoding = layout.encoding ?? 'absolute';
    const withPerCpu = encoding === 'absolute' || encoding === 'absolute-percpu';
    const symbols = laidOutSymbols(1200).filter(({ type }) => withPerCpu || type !== 'A');
    const options: ImageOptions = { order: 'old', start: START, relativeBase: TEXT, ...layout, encoding };
    const decoded = decode(kallsymsImage(symbols, options), options);
    assert.equal(decoded.length, 1, 'exactly one place fits');
    assert.deepEqual(
      [...(decoded[0]?.all() ?? [])].map(({ name, type, address }) => ({ name, type, address: BigInt(address) })),
      symbols,
    );
  });
}

test('an address inside a symbol gives the first of its aliases, its offset and its size', () => {
  const options: ImageOptions = { order: 'new', encoding: 'place-relative', start: START, relativeBase: TEXT };
  const symbols = laidOutSymbols(1200).filter(({ type }) => type !== 'A');
  const [table] = decode(kallsymsImage(symbols, options), options);
  assert.ok(table);
  const hit = table.at(TEXT + 24n * 10n + 7n);
  assert.equal(hit?.symbol.name, symbols[20]?.name);
  assert.equal(hit?.offset, 7);
  assert.equal(hit?.size, 24);
  assert.equal(table.at(TEXT - 1n), undefined);
  assert.equal(table.at(TEXT + 0x900000n), undefined, 'far past the last symbol');
  assert.equal(table.at(0n), undefined);
});

test('names that several symbols share are all found, in table order', () => {
  const { symbols } = openSample().kernel;
  const names = new Map<string, bigint[]>();
  for (const { name, address } of symbols.all()) names.set(name, [...(names.get(name) ?? []), address]);
  const shared = [...names].filter(([, addresses]) => addresses.length > 2).slice(0, 50);
  assert.ok(shared.length > 0);
  for (const [name, addresses] of shared) {
    assert.deepEqual(
      symbols.findAll(name).map(({ address }) => BigInt(address)),
      addresses,
    );
  }
  assert.deepEqual(symbols.findAll('no_such_symbol_anywhere'), []);
});

test('in a real kernel, every hundredth symbol is found by its name and by its address', () => {
  const { symbols } = openSample().kernel;
  let index = 0;
  for (const { name, address, module } of symbols.all()) {
    if (index++ % 100 !== 0 || module !== undefined) continue;
    assert.ok(symbols.findAll(name).some((symbol) => symbol.address === address));
    const hit = symbols.at(address);
    assert.equal(hit?.offset, 0, name);
    assert.equal(hit?.symbol.address, address);
  }
  assert.ok(index > 180_000);
  const panic = symbols.find('panic');
  assert.match(symbolize(symbols, (panic?.address ?? 0n) + 4n) ?? '', /^panic\+0x4\/0x[0-9a-f]+$/);
});

test('damaged tables give an error or other symbols, never a hang or a foreign exception', () => {
  const random = new Random(20261120);
  const options: ImageOptions = {
    order: 'old',
    encoding: 'absolute-percpu',
    sequences: true,
    start: START,
    relativeBase: TEXT,
  };
  const whole = kallsymsImage(laidOutSymbols(600), options);
  let refused = 0;
  for (let round = 0; round < 400; round++) {
    const image = round % 4 === 0 ? whole.slice(0, random.below(whole.length)) : whole.slice();
    if (round % 4 !== 0) random.mutate(image, 64);
    try {
      const tables = decode(image, options);
      if (tables.length === 0) refused++;
      for (const table of tables) {
        for (const symbol of table.all()) table.at(symbol.address);
        table.find('schedule');
      }
    } catch (error) {
      assert.ok(isExhumeError(error), String(error));
      refused++;
    }
  }
  assert.ok(refused > 0, 'some mutations must hit the tables');
});
