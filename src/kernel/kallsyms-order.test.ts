import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../bytes/address.js';
import { openSample } from '../testing/sample.js';
import { KallsymsNames, type KallsymsNameTables } from './kallsyms-names.js';

const { kernel } = openSample();

/** The name tables of the sample's kernel, its order of names with them. */
function tables(): KallsymsNameTables & { readonly sequences: Uint8Array } {
  const { memory, vmcoreinfo } = kernel;
  const at = (name: string): bigint => vmcoreinfo?.symbol(name) ?? assert.fail(`no ${name}`);
  const count = memory.u32(virtualAddress(at('kallsyms_num_syms')));
  const names = at('kallsyms_names');
  const tokenTable = at('kallsyms_token_table');
  const tokenIndex = at('kallsyms_token_index');
  const bytes = (from: bigint, length: bigint): Uint8Array => memory.bytes(virtualAddress(from), Number(length));
  const offsetsEnd = at('kallsyms_offsets') + BigInt(count * 4);
  return {
    count,
    names: bytes(names, tokenTable - names),
    tokenTable: bytes(tokenTable, tokenIndex - tokenTable),
    tokenIndex: bytes(tokenIndex, 512n),
    sequences: bytes((offsetsEnd + 7n) & ~7n, BigInt(count * 3)),
    littleEndian: true,
  };
}

const real = tables();
const { sequences: _, ...withoutOrder } = real;
const scanned = new KallsymsNames(withoutOrder);

function sameAsScanned(names: KallsymsNames): void {
  for (let index = 0; index < real.count; index += 997) {
    const name = scanned.expand(index).slice(1);
    assert.deepEqual([...names.indexesOf(name)], [...scanned.indexesOf(name)], name);
  }
  for (const name of ['panic', 'a', 'zzz', 'schedul', 'schedulee', '']) {
    assert.deepEqual([...names.indexesOf(name)], [...scanned.indexesOf(name)], name);
  }
}

test("in the kernel's order of names, every name is found with all its symbols, as without it", () => {
  const ordered = new KallsymsNames(real);
  sameAsScanned(ordered);
});

test('an order that is none is not followed: names are found all the same', () => {
  for (const sequences of [
    real.sequences.map((byte, at) => (at % 3 === 2 ? byte ^ 0x55 : byte)),
    real.sequences.slice(0, 3000),
    new Uint8Array(real.count * 3),
    new Uint8Array(real.count * 3).fill(0xff),
  ]) {
    sameAsScanned(new KallsymsNames({ ...real, sequences }));
  }
});
