import { viewOf } from '../../bytes/struct-table.js';
import { PAGE } from '../source-reader.js';
import { LUO_FILE_PAGES, LUO_SESSION_PAGES } from '../upstream/luo.js';
import {
  KHO_BLOCK,
  LUO,
  LUO_FILE,
  LUO_FLB,
  LUO_FLB_HEADER,
  LUO_SESSION,
  LUO_SESSION_HEADER,
} from '../upstream/structures.js';
import { addressOf, type BuildContext, wordOf } from './context.js';
import type { LuoDescription, LuoFileDescription, LuoSessionDescription } from './description.js';
import { type Piece, usage } from './layout.js';
import { placeMemfd } from './memfd.js';
import { type PlannedNode, textValue, u64Value } from './tree.js';

const MEMFD = 'memfd-v2';
const MEMFD_OLD = 'memfd-v1';
/** Of shared objects (`LUO_FLB_PGCNT`). */
const SHARED_PAGES = 1;

type Entry = () => Uint8Array;

/** Where the lists of a live update lie; 0: there is none. */
interface LuoLists {
  readonly sessions: () => number;
  readonly shared: () => number;
}

/** Places a live update's sessions and files, and gives `struct luo_ser` of luo-v5. */
export function placeLuoStruct(context: BuildContext, description: LuoDescription, path: string): Entry {
  const lists = placeLists(context, description, path, placeBlocks);
  return () => {
    const bytes = new Uint8Array(LUO.size);
    LUO.write(viewOf(bytes), 0, {
      compatible: description.compatible ?? 'luo-v5',
      liveupdate_num: wordOf(description.updates, `${path}.updates`, 1n),
      sessions_pa: BigInt(lists.sessions()),
      flbs_pa: BigInt(lists.shared()),
    });
    return bytes;
  };
}

/** Places a live update's sessions and files, and gives the tree of luo-v1. */
export function placeLuoTree(context: BuildContext, description: LuoDescription, path: string): PlannedNode {
  const lists = placeLists(context, description, path, placeArray);
  const list = (name: string, version: string, at: () => number): PlannedNode => ({
    name,
    properties: [
      { name: 'compatible', value: textValue(version) },
      { name: `${name}-header`, value: u64Value(at) },
    ],
    children: [],
  });
  return {
    name: '',
    properties: [
      { name: 'compatible', value: textValue(description.compatible ?? 'luo-v1') },
      { name: 'liveupdate-number', value: u64Value(() => wordOf(description.updates, `${path}.updates`, 1n)) },
    ],
    children: [list('luo-session', 'luo-session-v2', lists.sessions), list('luo-flb', 'luo-flb-v1', lists.shared)],
  };
}

/** Where a list of entries is to lie, and what it is. */
interface ListPlace {
  readonly what: string;
  readonly path: string;
  readonly address: number | undefined;
  readonly preserve: boolean;
  /** luo-v1: how many pages it has. */
  readonly pages: number;
  /** luo-v1: does the number of entries stand before them? */
  readonly counted: boolean;
}

type PlaceList = (context: BuildContext, place: ListPlace, size: number, entries: readonly Entry[]) => () => number;

function placeLists(context: BuildContext, description: LuoDescription, path: string, placeList: PlaceList): LuoLists {
  const { sessions = [], shared = [] } = description;
  const entries = sessions.map((session, index) =>
    placeSession(context, session, `${path}.sessions[${index}]`, placeList),
  );
  const place = {
    what: 'LUO: sessions',
    path: `${path}.sessions`,
    address: addressOf(description.sessionsAddress, `${path}.sessionsAddress`),
    preserve: true,
    pages: LUO_SESSION_PAGES,
    counted: true,
  };
  return {
    sessions: placeList(context, place, LUO_SESSION.size, entries),
    shared: placeShared(context, description, shared, path),
  };
}

function placeSession(
  context: BuildContext,
  session: LuoSessionDescription,
  path: string,
  placeList: PlaceList,
): Entry {
  const { name, files = [], preserve = true } = session;
  const entries = files.map((file, index) => placeFile(context, file, `${path}.files[${index}]`, name, index));
  const place = {
    what: `LUO: files of ${name}`,
    path: `${path}.files`,
    address: addressOf(session.address, `${path}.address`),
    preserve,
    pages: LUO_FILE_PAGES,
    counted: false,
  };
  const at = entries.length === 0 ? () => 0 : placeList(context, place, LUO_FILE.size, entries);
  return () => {
    const bytes = new Uint8Array(LUO_SESSION.size);
    const count = wordOf(session.count, `${path}.count`, BigInt(files.length));
    LUO_SESSION.write(viewOf(bytes), 0, { name, files: BigInt(at()), count });
    return bytes;
  };
}

function placeFile(
  context: BuildContext,
  file: LuoFileDescription,
  path: string,
  session: string,
  index: number,
): Entry {
  const { compatible = MEMFD, memfd, data } = file;
  if (memfd !== undefined && data !== undefined) throw usage(path, 'a memfd is its data: one of both');
  const token = wordOf(file.token, `${path}.token`, BigInt(index));
  const piece = memfd && placeMemfd(context, memfd, `${path}.memfd`, `${session}/${token}`, compatible === MEMFD_OLD);
  return () => {
    const bytes = new Uint8Array(LUO_FILE.size);
    const told = piece === undefined ? wordOf(data, `${path}.data`) : BigInt(piece.address);
    LUO_FILE.write(viewOf(bytes), 0, { compatible, data: told, token });
    return bytes;
  };
}

/** A list of pages, each with where the next is (`struct kho_block_header_ser`); 0 without entries. */
const placeBlocks: PlaceList = (context, { what, path, address, preserve }, size, entries) => {
  const perBlock = Math.floor((PAGE - KHO_BLOCK.size) / size);
  const blocks: Piece[] = [];
  for (let first = 0; first < entries.length; first += perBlock) {
    const here = entries.slice(first, first + perBlock);
    const index = blocks.length;
    blocks.push(
      context.layout.place({
        what,
        path,
        size: PAGE,
        address: index === 0 ? address : undefined,
        preserve: preserve ? 'folio' : 'no',
        content: () => {
          const page = new Uint8Array(PAGE);
          const next = BigInt(blocks[index + 1]?.address ?? 0);
          KHO_BLOCK.write(viewOf(page), 0, { next, count: BigInt(here.length) });
          for (const [at, entry] of here.entries()) page.set(entry(), KHO_BLOCK.size + at * size);
          return page;
        },
      }),
    );
  }
  return () => blocks[0]?.address ?? 0;
};

/** An array in pages that lie together, as luo-v1 has it. Throws EXH_USAGE for more entries than there is room for. */
const placeArray: PlaceList = (context, { what, path, address, preserve, pages, counted }, size, entries) => {
  const header = counted ? LUO_SESSION_HEADER.size : 0;
  const most = Math.floor((pages * PAGE - header) / size);
  if (entries.length > most) throw usage(path, `has ${entries.length} entries: luo-v1 has room for ${most}`);
  const piece = context.layout.place({
    what,
    path,
    size: pages * PAGE,
    address,
    preserve: preserve ? 'folio' : 'no',
    content: () => {
      const bytes = new Uint8Array(header + entries.length * size);
      if (counted) LUO_SESSION_HEADER.write(viewOf(bytes), 0, { count: BigInt(entries.length) });
      for (const [at, entry] of entries.entries()) bytes.set(entry(), header + at * size);
      return bytes;
    },
  });
  return () => piece.address;
};

/** The page of shared objects (`luo_flb_setup_outgoing`), which is there even when there are none. */
function placeShared(
  context: BuildContext,
  description: LuoDescription,
  shared: NonNullable<LuoDescription['shared']>,
  path: string,
): () => number {
  const most = Math.floor((SHARED_PAGES * PAGE - LUO_FLB_HEADER.size) / LUO_FLB.size);
  if (shared.length > most) throw usage(`${path}.shared`, `has ${shared.length} entries: there is room for ${most}`);
  const piece = context.layout.place({
    what: 'LUO: shared objects',
    path: `${path}.shared`,
    size: SHARED_PAGES * PAGE,
    address: addressOf(description.sharedAddress, `${path}.sharedAddress`),
    preserve: 'folio',
    content: () => {
      const bytes = new Uint8Array(SHARED_PAGES * PAGE);
      const view = viewOf(bytes);
      LUO_FLB_HEADER.write(view, 0, { pgcnt: BigInt(SHARED_PAGES), count: BigInt(shared.length) });
      for (const [index, { name, data, count }] of shared.entries()) {
        const here = `${path}.shared[${index}]`;
        LUO_FLB.write(view, LUO_FLB_HEADER.size + index * LUO_FLB.size, {
          name,
          data: wordOf(data, `${here}.data`),
          count: wordOf(count, `${here}.count`),
        });
      }
      return bytes;
    },
  });
  return () => piece.address;
}
