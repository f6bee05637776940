import { type Damage, damageOf, ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { DecodedNode, HandoverFile, NamedArea } from '../model.js';
import { type HandoverReader, PAGE } from '../source-reader.js';
import { hexText, node } from '../words.js';
import { blockEntries } from './lists.js';
import { MEMFD_COMPATIBLE, readMemfd } from './memfd.js';
import { LUO, LUO_FILE, LUO_FLB, LUO_FLB_HEADER, LUO_SESSION } from './structures.js';

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

/** `struct luo_ser` of luo-v5 (include/linux/kho/abi/luo.h); its lists where there is memory. */
export function readLuo(blob: Uint8Array, reader: HandoverReader | undefined): Luo {
  const { compatible, liveupdate_num: count, sessions_pa: sessions, flbs_pa: flbs } = LUO.read(viewOf(blob), 0, true);
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
      for (const { view, block } of blockEntries(reader, sessions, LUO_SESSION.size)) {
        const session = LUO_SESSION.read(view, 0, true);
        areas.push({ ...block, what: 'LUO: sessions' });
        const inside: DecodedNode[] = [];
        attempt(`LUO session ${session.name}`, () => {
          if (names.has(session.name)) throw broken(`two sessions are ${session.name}`);
          names.add(session.name);
          readFiles(session.name, session.files, inside);
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
    format: `struct luo_ser ${compatible}`,
    content: node(
      'LUO',
      [
        ['liveupdate_num', count],
        ['sessions', hexText(sessions)],
        ['flbs', hexText(flbs)],
      ],
      children,
    ),
    files,
    areas: unique(areas),
    damage,
  };

  function readFiles(session: string, first: bigint, inside: DecodedNode[]): void {
    if (reader === undefined) return;
    for (const { view, block } of blockEntries(reader, first, LUO_FILE.size)) {
      const file = LUO_FILE.read(view, 0, true);
      const name = `${session}/${file.token}`;
      areas.push({ ...block, what: `LUO: files of ${session}` });
      const known: DecodedNode[] = [];
      if (MEMFD_COMPATIBLE.test(file.compatible)) {
        attempt(`file ${name}`, () => {
          const memfd = readMemfd(reader, file.data, name);
          known.push(memfd.content);
          files.push(memfd.file);
          areas.push(...memfd.areas);
        });
      }
      inside.push(
        node(
          `file ${file.token}`,
          [
            ['compatible', file.compatible],
            ['data', hexText(file.data)],
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
          ['data', hexText(data)],
          ['files', users],
        ]),
      );
    }
  }
}

function broken(what: string, expected?: number | bigint, found?: number | bigint): ExhumeError {
  return new ExhumeError(
    'EXH_BAD_STRUCTURE',
    what,
    expected === undefined || found === undefined ? {} : { expected, found },
  );
}

function unique(areas: readonly NamedArea[]): NamedArea[] {
  return [...new Map(areas.map((area) => [`${area.address} ${area.size}`, area])).values()];
}
