import { orUndefined } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { type FdtNode, fdtStrings, fdtValue, isFdt, readFdt } from '../fdt/fdt.js';
import type { DecodedNode, Handover, HandoverFile, HandoverUser, MemoryArea, PreservedMap } from '../model.js';
import { blockAt } from '../preserved.js';
import { PAGE, u64Of } from '../source-reader.js';
import { KEXEC_METADATA, LUO } from '../upstream/structures.js';
import { hexText, sizeText } from '../words.js';
import { type Finding, finding, findingAbout } from './finding.js';

const METADATA_VERSION = 1;
/** `RESERVE_MEM_MAX_ENTRIES` */
const MOST_AREAS = 8;
/** What the kernel that has this version of the tree takes, where that is certain. */
const LUO_OF: Readonly<Record<string, string>> = { 'kho-v4': 'luo-v5' };
const MEMFD_OF: Readonly<Record<string, string>> = { 'kho-v4': 'memfd-v2' };

/** Users' descriptions, as the kernel that they are for reads them: what it refuses, or takes otherwise than it was meant. */
export function* checkDescriptions(handover: Handover): Generator<Finding | undefined> {
  const { users, files, compatible, direction } = handover;
  // Of a handover that was taken the map may be overwritten, and with it how large folios are.
  const preserved =
    direction === 'incoming' || handover.preserved?.damage.length !== 0 ? undefined : handover.preserved;
  for (const user of users) {
    if (user.name === 'memblock') yield* checkMemblock(user);
    else if (user.name === 'kexec-metadata') yield* checkMetadata(user);
    // A kernel that took it has given its memory back.
    else if (user.name === 'LUO' && direction !== 'incoming') yield* checkLuo(user, compatible);
    else if (user.name === 'kho_test') yield* checkCompatible(user, 'kho-test-v1');
  }
  for (const file of files) yield* checkFile(file, preserved);
  yield* checkClaims(handover);
}

/** `reserve_mem_kho_revive` of mm/memblock.c. */
function* checkMemblock({ name, bytes }: HandoverUser): Generator<Finding> {
  if (bytes === undefined) return;
  const root = rootOf(bytes);
  if (root === undefined) {
    if (!isFdt(bytes)) yield finding('refused', 'description', name, 'is no device tree');
    return;
  }
  yield* checkCompatible({ name, bytes }, 'memblock-v1');
  if (root.children.length > MOST_AREAS) {
    yield finding(
      'lost',
      'description',
      name,
      `has ${root.children.length} areas: the next kernel takes ${MOST_AREAS}`,
    );
  }
  for (const child of root.children) {
    const about = `reserve_mem ${child.name}`;
    const [compatible = 'nothing'] = fdtStrings(fdtValue(child, 'compatible'));
    const lacking = ['start', 'size'].filter((word) => u64Of(fdtValue(child, word)) === undefined);
    if (compatible !== 'reserve-mem-v1') {
      yield finding('refused', 'description', about, `is ${compatible}: the next kernel takes reserve-mem-v1`);
    } else if (lacking.length > 0) {
      yield finding('refused', 'description', about, `has no ${lacking.join(' and no ')} of 8 bytes`);
    }
  }
}

/** Undefined for what is no tree, or none that can be read: what is wrong with that is the user's damage. */
function rootOf(bytes: Uint8Array): FdtNode | undefined {
  return isFdt(bytes) ? orUndefined(() => readFdt(bytes).root) : undefined;
}

function* checkCompatible({ name, bytes }: Pick<HandoverUser, 'name' | 'bytes'>, wanted: string): Generator<Finding> {
  const root = bytes && rootOf(bytes);
  if (root === undefined) return;
  const compatible = fdtStrings(fdtValue(root, 'compatible'));
  if (compatible.includes(wanted)) return;
  yield finding('refused', 'version', name, `is ${compatible[0] ?? 'nothing'}: the next kernel takes ${wanted}`);
}

/** `kho_in_kexec_metadata` */
function* checkMetadata({ name, bytes }: HandoverUser): Generator<Finding> {
  if (bytes === undefined) return;
  const version = bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0, true);
  if (version !== undefined && version !== METADATA_VERSION) {
    yield finding('refused', 'version', name, `is of version ${version}: the next kernel takes ${METADATA_VERSION}`);
  } else if (bytes.length < KEXEC_METADATA.size) {
    yield finding('refused', 'description', name, `has ${bytes.length} bytes of ${KEXEC_METADATA.size}`);
  }
}

/** `luo_early_startup`, and `luo_file_deserialize_one`, which fails for the first file that nobody handles. */
function* checkLuo({ name, bytes, content }: HandoverUser, root: string): Generator<Finding> {
  if (bytes === undefined) return;
  if (!isFdt(bytes)) {
    if (bytes.length < LUO.size) {
      yield finding('refused', 'description', name, `has ${bytes.length} bytes of ${LUO.size}`);
      return;
    }
    const { compatible } = LUO.read(viewOf(bytes), 0, true);
    const wanted = LUO_OF[root];
    if (wanted !== undefined && compatible !== wanted) {
      yield finding('refused', 'version', name, `is ${compatible}: the next kernel takes ${wanted}`);
    }
  } else if (LUO_OF[root] !== undefined) {
    yield finding('refused', 'version', name, `is a device tree: the next kernel takes struct luo_ser ${LUO_OF[root]}`);
  }
  for (const session of content?.children ?? []) {
    const tokens = new Set<string>();
    for (const file of session.children) yield* checkHandler(session, file, tokens, root);
  }
}

function* checkHandler(session: DecodedNode, file: DecodedNode, tokens: Set<string>, root: string): Generator<Finding> {
  const about = `${session.name.replace(/^session /, '')}/${file.name.replace(/^file /, '')}`;
  if (tokens.has(file.name)) {
    yield finding('lost', 'file', about, 'there are two of this token: the next kernel gives the first alone');
  }
  tokens.add(file.name);
  const compatible = file.values.find(({ name }) => name === 'compatible')?.value ?? '';
  const data = file.values.find(({ name }) => name === 'data')?.value;
  const wanted = MEMFD_OF[root];
  if (/^memfd-/.test(compatible) && wanted !== undefined && compatible !== wanted) {
    yield finding(
      'refused',
      'version',
      about,
      `is ${compatible}: the next kernel takes ${wanted}, and no session without`,
    );
  } else if (!/^memfd-/.test(compatible)) {
    yield finding('note', 'file', about, `is ${compatible}: without a handler for it the next kernel takes no session`);
  } else if (data === '0x0') {
    yield finding('refused', 'file', about, 'leads nowhere');
  }
}

/** `memfd_luo_retrieve_folios`, against what `memfd_luo_preserve_folios` leaves: a folio for every page. */
function* checkFile(
  { name, size, folios, unknownFlags }: HandoverFile,
  preserved: PreservedMap | undefined,
): Generator<Finding | undefined> {
  if (unknownFlags !== undefined) {
    const told = hexText(unknownFlags);
    yield finding('note', 'file', name, `its list of folios has flags ${told}, which no kernel up to 7.2 looks at`);
  }
  const pages = Math.ceil(size / PAGE);
  const taken = new Set<number>();
  const twice: MemoryArea[] = [];
  const behind: MemoryArea[] = [];
  const amid: MemoryArea[] = [];
  let reach = 0;
  for (const { address, index } of folios) {
    const area = { address, size: PAGE };
    const span = (blockAt(preserved?.blocks ?? [], address)?.size ?? PAGE) / PAGE;
    if (taken.has(index)) twice.push(area);
    if (index % span !== 0) amid.push(area);
    taken.add(index);
    if (index >= pages) behind.push(area);
    else reach += Math.min(span, pages - index);
  }
  yield findingAbout(
    {
      severity: 'refused',
      check: 'file',
      about: name,
      message: 'two folios for one page: the next kernel refuses the file',
    },
    twice,
  );
  yield findingAbout(
    { severity: 'lost', check: 'file', about: name, message: `folios behind its end, of ${sizeText(size)}` },
    behind,
  );
  yield findingAbout(
    { severity: 'refused', check: 'file', about: name, message: 'folios at pages that are no multiple of their size' },
    amid,
  );
  if (twice.length === 0 && preserved !== undefined && reach < pages) {
    yield finding('lost', 'file', name, `${pages - reach} of its ${pages} pages have no folio: they read as zeros`);
  }
}

/** Memory that two name: the second to ask for it does not get it (`kho_restore_page`), or writes to the other's. */
function* checkClaims({ users }: Handover): Generator<Finding | undefined> {
  const areas = users
    .flatMap((user) => [...(user.blob === undefined ? [] : [{ ...user.blob, what: user.name }]), ...user.areas])
    .sort((a, b) => a.address - b.address);
  const clashes = new Map<string, MemoryArea[]>();
  let widest: (typeof areas)[number] | undefined;
  for (const area of areas) {
    const { address, size, what } = area;
    // Folios that files share are told with them.
    const shared = what.endsWith(': folio') && widest?.what.endsWith(': folio') === true;
    if (widest !== undefined && address < widest.address + widest.size && !shared) {
      const about = `${widest.what} and ${what}`;
      const list = clashes.get(about) ?? [];
      list.push({ address, size: Math.min(address + size, widest.address + widest.size) - address });
      clashes.set(about, list);
    }
    if (widest === undefined || address + size > widest.address + widest.size) widest = area;
  }
  for (const [about, list] of clashes) {
    yield findingAbout(
      { severity: 'refused', check: 'claims', about, message: 'are at one place: the next kernel gives memory once' },
      list,
    );
  }
}
