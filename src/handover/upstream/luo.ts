import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type FdtNode, fdtChild, fdtStrings, fdtValue } from '../fdt/fdt.js';
import type { DecodedNode, Handover, HandoverFile, MemoryArea, NamedArea } from '../model.js';
import { type HandoverReader, PAGE, physical, u64Of } from '../source-reader.js';
import { firstByte, hexText, node } from '../words.js';
import { blockEntries } from './lists.js';
import { MEMFD_COMPATIBLE, readMemfd } from './memfd.js';
import { LUO, LUO_FILE, LUO_FLB, LUO_FLB_HEADER, LUO_SESSION, LUO_SESSION_HEADER } from './structures.js';

/** Of luo-v1, in pages (`LUO_SESSION_PGCNT`, `LUO_FILE_PGCNT`). */
export const LUO_SESSION_PAGES = 16;
export const LUO_FILE_PAGES = 4;
/** Pages of shared objects: kernels up to 7.2 have one. */
const MOST_SHARED_PAGES = 256n;

/** What the live update orchestrator hands over: sessions with their files, and what these share. */
export interface Luo {
  readonly format: string;
  readonly content: DecodedNode;
  readonly files: readonly HandoverFile[];
  readonly areas: readonly NamedArea[];
  readonly damage: readonly Damage[];
}

/** The format of a `struct luo_ser` of which only the lists are left. */
export const FREED_LUO = 'struct luo_ser, freed since it was read';

/** What the kernel that was given a handover tells of it. */
export interface KeptByKernel {
  readonly direction: Handover['direction'];
  /** Where the list of sessions begins, while it keeps that. */
  readonly sessions?: bigint | undefined;
}

type Entries = Iterable<{ readonly view: DataView; readonly block: MemoryArea }>;

/** Where lists lie, and in which form; 0: there is none. */
interface LuoHead {
  readonly format: string;
  /** What the head itself says. */
  readonly values: Parameters<typeof node>[1];
  readonly sessions: bigint;
  readonly flbs: bigint;
  sessionsOf(reader: HandoverReader): Entries;
  filesOf(reader: HandoverReader, first: bigint, count: bigint): Entries;
}

/**
 * `struct luo_ser` of luo-v5 (include/linux/kho/abi/luo.h): lists of blocks, where there is memory. The kernel that was given it
 * frees it: then the list that it kept is read.
 */
export function readLuoStruct(blob: Uint8Array, reader: HandoverReader | undefined, kept: KeptByKernel): Luo {
  const ser = LUO.read(viewOf(blob), 0, true);
  const freed = kept.direction === 'incoming' && !/^luo-v\d/.test(ser.compatible);
  const sessions = freed ? (kept.sessions ?? 0n) : ser.sessions_pa;
  const flbs = freed ? 0n : ser.flbs_pa;
  const head: LuoHead = {
    format: freed ? FREED_LUO : `struct luo_ser ${ser.compatible}`,
    values: freed ? keptValues(sessions) : valuesOf(ser.liveupdate_num, sessions, flbs),
    sessions,
    flbs,
    sessionsOf: (memory) => blockEntries(memory, sessions, LUO_SESSION.size),
    filesOf: (memory, first) => blockEntries(memory, first, LUO_FILE.size),
  };
  return readLuo(head, reader);
}

/** The tree `luo-v1` of 6.19 to 7.1: arrays in pages that lie together. */
export function readLuoTree(root: FdtNode, reader: HandoverReader | undefined): Luo {
  const headerOf = (name: string): bigint => {
    const child = fdtChild(root, name);
    return (child && u64Of(fdtValue(child, `${name}-header`))) ?? 0n;
  };
  const sessions = headerOf('luo-session');
  const flbs = headerOf('luo-flb');
  const head: LuoHead = {
    format: `device tree ${fdtStrings(fdtValue(root, 'compatible'))[0] ?? 'without compatible'}`,
    values: valuesOf(u64Of(fdtValue(root, 'liveupdate-number')) ?? 0n, sessions, flbs),
    sessions,
    flbs,
    sessionsOf: (memory) => {
      const { count } = LUO_SESSION_HEADER.read(memory.view(sessions, LUO_SESSION_HEADER.size), 0, true);
      return arrayEntries(memory, sessions, LUO_SESSION_HEADER.size, count, LUO_SESSION.size, LUO_SESSION_PAGES);
    },
    filesOf: (memory, first, count) => arrayEntries(memory, first, 0, count, LUO_FILE.size, LUO_FILE_PAGES),
  };
  return readLuo(head, reader);
}

function readLuo(head: LuoHead, reader: HandoverReader | undefined): Luo {
  const { sessions, flbs } = head;
  const damage: Damage[] = [];
  const files: HandoverFile[] = [];
  const areas: NamedArea[] = [];
  const children: DecodedNode[] = [];
  const attempt = (what: string, read: () => void): void => {
    try {
      read();
    } catch (error) {
      damage.push(damageOf(what, error));
    }
  };
  if (reader !== undefined && sessions !== 0n) {
    attempt('LUO sessions', () => {
      const names = new Set<string>();
      for (const { view, block } of head.sessionsOf(reader)) {
        const session = LUO_SESSION.read(view, 0, true);
        areas.push({ ...block, what: 'LUO: sessions' });
        const inside: DecodedNode[] = [];
        attempt(`LUO session ${session.name}`, () => {
          if (names.has(session.name)) throw broken(`two sessions are ${session.name}`);
          names.add(session.name);
          readFiles(session.name, session.files, session.count, inside);
          if (BigInt(inside.length) !== session.count) {
            throw broken(`a session of ${session.count} files has ${inside.length}`, session.count, inside.length);
          }
        });
        children.push(node(`session ${session.name}`, [['files', session.count]], inside));
      }
    });
  }
  if (reader !== undefined && flbs !== 0n) attempt('LUO shared objects', () => readShared(reader));
  return {
    format: head.format,
    content: node('LUO', head.values, children),
    files,
    areas: unique(areas),
    damage,
  };

  function readFiles(session: string, first: bigint, told: bigint, inside: DecodedNode[]): void {
    if (reader === undefined || first === 0n) return;
    for (const { view, block } of head.filesOf(reader, first, told)) {
      const file = LUO_FILE.read(view, 0, true);
      const name = `${session}/${file.token}`;
      areas.push({ ...block, what: `LUO: files of ${session}` });
      const known: DecodedNode[] = [];
      if (MEMFD_COMPATIBLE.test(file.compatible) && file.data !== 0n) {
        attempt(`file ${name}`, () => {
          const memfd = readMemfd(reader, file.data, name, file.compatible);
          known.push(memfd.content);
          files.push(memfd.file);
          for (const area of memfd.areas) areas.push(area);
        });
      }
      inside.push(
        node(
          `file ${file.token}`,
          [
            ['compatible', file.compatible],
            ['data', hexText(file.data), firstByte(file.data)],
          ],
          known,
        ),
      );
    }
  }

  function readShared(memory: HandoverReader): void {
    const header = LUO_FLB_HEADER.read(memory.view(flbs, LUO_FLB_HEADER.size), 0, true);
    const pages = header.pgcnt <= MOST_SHARED_PAGES ? Number(header.pgcnt) * PAGE : 0;
    const fit = Math.max(0, Math.floor((pages - LUO_FLB_HEADER.size) / LUO_FLB.size));
    if (header.count > BigInt(fit)) {
      throw broken(`${header.count} shared objects in ${header.pgcnt} pages`, fit, header.count);
    }
    areas.push({ address: Number(flbs), size: pages, what: 'LUO: shared objects' });
    for (let index = 0; index < Number(header.count); index++) {
      const at = flbs + BigInt(LUO_FLB_HEADER.size + index * LUO_FLB.size);
      const { name, data, count: users } = LUO_FLB.read(memory.view(at, LUO_FLB.size), 0, true);
      children.push(
        node(`shared ${name}`, [
          ['data', hexText(data), firstByte(data)],
          ['files', users],
        ]),
      );
    }
  }
}

/** Entries behind each other, with the memory that all have together. Throws EXH_BAD_STRUCTURE for more than fit. */
function* arrayEntries(
  reader: HandoverReader,
  first: bigint,
  header: number,
  count: bigint,
  size: number,
  pages: number,
): Entries {
  const fit = Math.floor((pages * PAGE - header) / size);
  if (count > BigInt(fit)) throw broken(`a list of ${count} entries in ${pages} pages`, fit, count);
  const block = { address: physical(first), size: pages * PAGE };
  for (let index = 0; index < Number(count); index++) {
    yield { view: reader.view(first + BigInt(header + index * size), size), block };
  }
}

function broken(what: string, expected?: number | bigint, found?: number | bigint): ExhumeError {
  return new ExhumeError(
    'EXH_BAD_STRUCTURE',
    what,
    expected === undefined || found === undefined ? {} : { expected, found },
  );
}

function valuesOf(count: bigint, sessions: bigint, flbs: bigint): LuoHead['values'] {
  return [
    ['liveupdate_num', count],
    ['sessions', hexText(sessions), firstByte(sessions)],
    ['flbs', hexText(flbs), firstByte(flbs)],
  ];
}

function keptValues(sessions: bigint): LuoHead['values'] {
  return [['sessions', sessions === 0n ? 'taken' : `${hexText(sessions)}, by luo_session_global`, firstByte(sessions)]];
}

function unique(areas: readonly NamedArea[]): NamedArea[] {
  return [...new Map(areas.map((area) => [`${area.address} ${area.size} ${area.what}`, area])).values()];
}
