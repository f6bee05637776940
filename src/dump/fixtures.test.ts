import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemorySource } from '../bytes/byte-source.js';
import type { Container } from './container.js';
import { openDump } from './open.js';

const fixtures = new URL('../../../src/dump/fixtures/', import.meta.url);

/** All that a container says about a file, as plain JSON. */
function described(container: Container): unknown {
  const { memory, structures, spans, notes, vmcoreinfo, ...rest } = container;
  const plain = {
    ...rest,
    pageSize: memory.pageSize,
    ranges: memory.ranges(),
    spans: spans.slice(0, 8),
    spanCount: spans.length,
    notes: notes.map(({ description, ...note }) => ({ ...note, size: description.length })),
    vmcoreinfoSize: vmcoreinfo?.length,
    vmcoreinfoRelease: vmcoreinfo === undefined ? undefined : new TextDecoder().decode(vmcoreinfo).split('\n')[0],
    structures: structures.slice(0, 4).map((struct) => ({
      ...struct,
      fields: struct.fields.map(({ bytes, value, ...field }) => ({
        ...field,
        hex: Buffer.from(bytes).toString('hex'),
        value,
      })),
    })),
    structureCount: structures.length,
  };
  const json = JSON.stringify(plain, (_, value) => {
    if (typeof value === 'bigint') return `0x${BigInt.asUintN(64, value).toString(16)}`;
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    return value;
  });
  return JSON.parse(json);
}

for (const name of readdirSync(fixtures).filter((file) => /\.(elf|kdump)$/.test(file))) {
  test(`${name} reads as its golden file says`, () => {
    const bytes = new Uint8Array(readFileSync(new URL(name, fixtures)));
    const found = described(openDump([new MemorySource(bytes, name)]));
    const golden = new URL(`${name}.golden.json`, fixtures);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, `${JSON.stringify(found, null, 1)}\n`);
    assert.ok(existsSync(golden), `${name} has no golden file`);
    assert.deepEqual(found, JSON.parse(readFileSync(golden, 'utf8')));
  });
}
