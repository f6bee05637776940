import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type FdtNode, fdtChild, fdtValue } from '../fdt/fdt.js';
import type { NamedArea } from '../model.js';
import { type HandoverReader, PAGE, physical } from '../source-reader.js';
import { readVmalloc } from './lists.js';

/** What lib/test_kho.c preserves: its default is 8 MiB. More is not summed. */
const MOST_SUMMED = 1 << 28;
const AT_ONCE = 1 << 20;
const MAGIC = 0x4b484f21;
const MODULUS = 2 ** 32 - 1;

/** Memory that the kernel's own test of handovers preserves, and whether it would find it whole. */
export interface KhoTest {
  readonly areas: readonly NamedArea[];
  readonly damage: readonly Damage[];
}

/**
 * Follows the tree `kho-test-v1` of lib/test_kho.c: a list (as vmalloc has it) of u64 addresses with an order in the lower
 * bits, and the checksum of all that they lead to. What the test would fail for is damage.
 */
export function readKhoTest(root: FdtNode, reader: HandoverReader): KhoTest {
  const areas: NamedArea[] = [];
  try {
    follow(root, reader, areas);
    return { areas, damage: [] };
  } catch (error) {
    return { areas, damage: [damageOf('handover: kho_test', error)] };
  }
}

function follow(root: FdtNode, reader: HandoverReader, areas: NamedArea[]): void {
  const data = fdtChild(root, 'data');
  const wordOf = (node: FdtNode | undefined, name: string): number => {
    const value = node && fdtValue(node, name);
    if (value?.length !== 4) throw broken(`has no ${name} of 4 bytes`);
    return viewOf(value).getUint32(0, true);
  };
  const magic = wordOf(root, 'magic');
  if (magic !== MAGIC) throw broken(`its magic is 0x${magic.toString(16)}`, MAGIC, magic);
  const count = wordOf(data, 'nr_folios');
  const sum = wordOf(data, 'csum');
  const descriptor = data && fdtValue(data, 'folios_info');
  if (descriptor?.length !== 16) throw broken('has no folios_info of 16 bytes');
  const list = readVmalloc(reader, viewOf(descriptor));
  for (const area of [...list.own, ...list.pieces]) areas.push({ ...area, what: 'kho_test: list of folios' });
  const words = list.pieces.map(({ address, size }) => reader.view(BigInt(address), size));
  const perPiece = (list.pieces[0]?.size ?? PAGE) / 8;
  const folios: { address: number; size: number }[] = [];
  for (let index = 0; index < count; index++) {
    const word = words[Math.floor(index / perPiece)]?.getBigUint64((index % perPiece) * 8, true);
    if (word === undefined) throw broken(`a list of ${count} folios, which ends after ${index}`, count, index);
    const order = Number(word % BigInt(PAGE));
    if (order > 30) throw broken(`a folio of order ${order}`);
    folios.push({ address: physical(word - BigInt(order)), size: PAGE * 2 ** order });
  }
  for (const folio of folios) areas.push({ ...folio, what: 'kho_test: folio' });
  const found = checksum(folios, reader);
  // 0 and 2^32-1 are one.
  if (found !== undefined && found % MODULUS !== sum % MODULUS) {
    throw broken(`the checksum of its memory is 0x${found.toString(16)}, not 0x${sum.toString(16)}`, sum, found);
  }
}

/** csum_partial(): 16-bit words, with carries added in, as 32 bits; undefined: too much to be summed. */
function checksum(areas: readonly { address: number; size: number }[], reader: HandoverReader): number | undefined {
  if (areas.reduce((sum, { size }) => sum + size, 0) > MOST_SUMMED) return undefined;
  let sum = 0;
  for (const { address, size } of areas) {
    for (let done = 0; done < size; done += AT_ONCE) {
      const bytes = reader.bytes(BigInt(address + done), Math.min(AT_ONCE, size - done));
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
      for (const word of words) sum += word;
      sum = (sum % 2 ** 32) + Math.floor(sum / 2 ** 32);
    }
  }
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) >>> 0;
}

function broken(what: string, expected?: number, found?: number): ExhumeError {
  const data = expected === undefined || found === undefined ? {} : { expected, found };
  return new ExhumeError('EXH_BAD_STRUCTURE', what, data);
}
