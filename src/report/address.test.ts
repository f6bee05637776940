import assert from 'node:assert/strict';
import { test } from 'node:test';
import { virtualAddress } from '../bytes/address.js';
import type { KernelSymbol, SymbolTable } from '../kernel/symbols.js';
import { parseAddress, parseHex } from './address.js';

function table(entries: Record<string, bigint>): SymbolTable {
  const all: KernelSymbol[] = Object.entries(entries).map(([name, address]) => ({
    name,
    address: virtualAddress(address),
    type: 'T',
  }));
  const findAll = (name: string) => all.filter((symbol) => symbol.name === name);
  return {
    size: all.length,
    find: (name) => findAll(name)[0],
    findAll,
    address: (name) => findAll(name)[0]?.address,
    at: () => undefined,
    all: () => all,
  };
}

const symbols = table({ jiffies: 0xffffffff82000000n, face: 0xffffffff81000040n, 'a-b+1': 5n });

test('addresses as people write them', () => {
  const cases: [string, bigint][] = [
    ['jiffies', 0xffffffff82000000n],
    ['jiffies+0x10', 0xffffffff82000010n],
    ['jiffies+16', 0xffffffff82000010n],
    ['jiffies-8', 0xffffffff81fffff8n],
    ['0xffffffff81000000', 0xffffffff81000000n],
    ['ffffffff81000000', 0xffffffff81000000n],
    ['FFFFFFFF81000000+0x8', 0xffffffff81000008n],
    ['1000', 0x1000n],
    // A symbol, though its letters are digits too.
    ['face', 0xffffffff81000040n],
    ['0xface', 0xfacen],
    // Addresses are 64 bits and wrap.
    ['0-1', 0xffffffffffffffffn],
  ];
  for (const [text, address] of cases) assert.equal(parseAddress(text, symbols), address, text);
});

test('what is no address says why', () => {
  const cases: [string, string, RegExp][] = [
    ['nosuch', 'EXH_NO_SYMBOL', /no symbol "nosuch"/],
    ['nosuch+4', 'EXH_NO_SYMBOL', /no symbol "nosuch"/],
    ['12345678901234567', 'EXH_USAGE', /neither/],
    ['', 'EXH_USAGE', /neither/],
    ['a b', 'EXH_USAGE', /neither/],
  ];
  for (const [text, code, message] of cases) {
    assert.throws(() => parseAddress(text, symbols), { code, message }, text);
  }
  assert.throws(() => parseAddress('jiffies', undefined), { code: 'EXH_NO_SYMBOL', message: /no symbols were found/ });
});

test('hexadecimal addresses need no prefix, and take no symbols', () => {
  assert.equal(parseHex('1000'), 0x1000n);
  assert.equal(parseHex('0xABC'), 0xabcn);
  assert.throws(() => parseHex('jiffies'), { code: 'EXH_USAGE' });
});
