import { ExhumeError } from '../bytes/errors.js';
import type { KernelView } from '../kernel/kernel-view.js';
import type { EntryReport, ValueReport } from './schema/types.js';
import { splitQuery } from './struct.js';
import { requireType, type TypeRef } from './type-query.js';
import type { Values } from './value.js';

/** A structure to show at each entry of a list or tree: `task_struct`, `task_struct.pid,comm`. */
export interface Shown {
  readonly name: string;
  readonly type: TypeRef;
  readonly members: readonly string[];
}

/** More entries are not shown: nobody reads them, and a damaged list may have any number. */
export const MOST_ENTRIES = 1 << 20;

/** Parses what `-s` names. Throws EXH_NO_LAYOUT for unknown types. */
export function shownOf(view: KernelView, queries: readonly string[]): Shown[] {
  return queries.map((query) => {
    const [name, members] = splitQuery(query);
    return { name, type: requireType(view, name), members };
  });
}

/** An offset: a number of bytes, or `struct.member`. Throws EXH_USAGE, EXH_NO_LAYOUT. */
export function offsetAt(view: KernelView, text: string): number {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return Number(text);
  const [name, [member = '']] = splitQuery(text);
  const type = requireType(view, name);
  const place = type.btf.member(type.btf.resolve(type.id), member);
  if (place === undefined) {
    throw new ExhumeError('EXH_NO_LAYOUT', `${name} has no member "${member}"`, {
      found: text,
      hint: 'an offset is a number of bytes or STRUCT.MEMBER',
    });
  }
  return place.bitOffset >>> 3;
}

/** The values of the structures at an entry. */
export function valuesAt(address: bigint, shown: readonly Shown[], values: Values): EntryReport['values'] {
  return shown.map(({ name, type, members }) => ({
    type: members.length === 0 ? name : `${name}.${members.join(',')}`,
    value: members.length === 0 ? values.read(type.btf, type.id, address) : some(type, members, address, values),
  }));
}

function some(type: TypeRef, members: readonly string[], address: bigint, values: Values): ValueReport {
  const read = members.map((path) => values.member(type, path, address));
  return { name: '', kind: 'struct', value: null, text: null, times: 1, members: read };
}
