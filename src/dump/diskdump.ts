import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { viewOf } from '../bytes/struct-table.js';
import type { Decoders } from '../codecs/codec.js';
import { FileBitmap } from './bitmap.js';
import { CachedSource } from './cached-source.js';
import type { Container, Note } from './container.js';
import { DamageLog } from './damage-log.js';
import { diskdumpFacts } from './diskdump-facts.js';
import { type DiskdumpHeader, readDiskdumpHeader, STATUS_INCOMPLETE } from './diskdump-header.js';
import { type DiskdumpMember, DiskdumpMemory, methodOf, PAGE_DESC } from './diskdump-memory.js';
import { parseNotes, vmcoreinfoOf } from './notes.js';

/** More than this is no VMCOREINFO (a page), no notes (10 MB for 8192 CPUs), no erase info. */
const MAX_AREA = 64 * 1024 * 1024;

export interface DiskdumpOptions {
  /** Bytes of the files and of decompressed pages to keep in memory. */
  readonly cacheBytes: number;
  readonly decoders: Decoders;
  readonly flattened: boolean;
}

interface OpenedMember extends DiskdumpMember {
  readonly header: DiskdumpHeader;
  readonly exists: FileBitmap | undefined;
}

/**
 * Opens a kdump-compressed dump (or the diskdump before it): one file, or all files of a `--split` set in any order.
 * Throws EXH_BAD_HEADER, EXH_TRUNCATED; EXH_USAGE when the files are not one set.
 */
export function openDiskdump(sources: readonly ByteSource[], options: DiskdumpOptions): Container {
  const damage = new DamageLog();
  const blockBudget = Math.floor(options.cacheBytes / 4 / sources.length);
  const members = sources
    .map((source) => openMember(new CachedSource(source, blockBudget), damage))
    .sort((a, b) => a.startPfn - b.startPfn);
  const first = members[0];
  if (first === undefined) throw new ExhumeError('EXH_USAGE', 'no file to open');
  const maxMapnr = checkSet(members, damage);
  const { header, source } = first;

  const noteMember = members.find((member) => member.header.sub.size_note > 0) ?? first;
  const notes = readNotes(noteMember, damage);
  const textMember = members.find((member) => member.header.sub.size_vmcoreinfo > 0);
  const { sub } = textMember?.header ?? header;
  const vmcoreinfo =
    textMember === undefined
      ? vmcoreinfoOf(notes)
      : readArea(textMember.source, sub.offset_vmcoreinfo, sub.size_vmcoreinfo, 'VMCOREINFO', damage);
  const marked = members.some((member) => isMarkedIncomplete(member.header));
  if (marked) {
    damage.add('EXH_TRUNCATED', 'memory', `${source.name}: its status says that the writer ran out of space`);
  }
  const memory = new DiskdumpMemory(
    members,
    first.exists,
    maxMapnr,
    header.blockSize,
    options.decoders,
    Math.floor((options.cacheBytes * 3) / 4),
    damage,
  );
  const missing = damage.entries.some((entry) => entry.code === 'EXH_TRUNCATED');
  return {
    format: 'kdump',
    description: describe(header, members.length),
    flattened: options.flattened,
    files: members.map((member) => member.source.name),
    littleEndian: header.littleEndian,
    wordBits: header.wordBits,
    claimedMachine: header.machine === '' || header.machine === 'Unknown' ? undefined : header.machine,
    memory,
    compression: header.signature === 'KDUMP   ' ? methodOf(header.status) : undefined,
    notes,
    vmcoreinfo,
    claimedPhysBase:
      header.signature !== 'KDUMP   '
        ? undefined
        : header.wordBits === 64
          ? BigInt.asIntN(64, header.sub.phys_base)
          : header.sub.phys_base,
    spans: [],
    incomplete: marked || missing,
    facts: members.flatMap((member) => diskdumpFacts(member.header, member.source, notes, members.length > 1)),
    structures: members.flatMap((member) => [...member.header.structures, ...firstDescriptor(member)]),
    damage: damage.entries,
  };
}

function openMember(source: CachedSource, damage: DamageLog): OpenedMember {
  const header = readDiskdumpHeader(source);
  const { blockSize, bitmapBlocks, sub } = header;
  const bitmapsAt = (1 + header.subHeaderBlocks) * blockSize;
  const bitmapBytes = bitmapBlocks * blockSize;
  const oneBitmap = Math.ceil(Math.ceil(header.maxMapnr / 8) / blockSize) * blockSize;
  const two = bitmapBytes >= 2 * oneBitmap;
  const secondAt = two ? bitmapsAt + bitmapBytes / 2 : bitmapsAt;
  const room = (two ? bitmapBytes / 2 : bitmapBytes) * 8;
  const bits = Math.min(header.maxMapnr, room);
  if (bits < header.maxMapnr) {
    damage.add(
      'EXH_BAD_HEADER',
      'bitmap',
      `${source.name}: max_mapnr says ${header.maxMapnr} pages, the bitmap has room for ${bits}`,
    );
  }
  const descriptorsAt = bitmapsAt + bitmapBytes;
  if (descriptorsAt > source.size) {
    damage.add(
      'EXH_TRUNCATED',
      'bitmap',
      `${source.name}: the bitmaps end at byte ${descriptorsAt}, the file has ${source.size}`,
    );
  }
  checkEnd(source, header, descriptorsAt, damage);
  const isMember = sub.split !== 0;
  return {
    header,
    source,
    exists: two ? new FileBitmap(source, bitmapsAt, bits) : undefined,
    dumped: new FileBitmap(source, secondAt, bits),
    descriptorsAt,
    startPfn: isMember ? (header.version >= 6 ? sub.start_pfn_64 : sub.start_pfn) : 0,
    endPfn: isMember ? (header.version >= 6 ? sub.end_pfn_64 : sub.end_pfn) : header.maxMapnr,
    littleEndian: header.littleEndian,
  };
}

/** Of so many of the last descriptors the data is looked for. */
const LAST_DESCRIPTORS = 2048;

/**
 * Is the file cut off? Writers put the data of the first page right behind the descriptors, so its offset tells where
 * they end, and the last of them where the file must reach, without counting the bitmap.
 */
function checkEnd(source: CachedSource, header: DiskdumpHeader, descriptorsAt: number, damage: DamageLog): void {
  const read = (at: number, length: number) => {
    const bytes = source.peek(at, length);
    const view = viewOf(bytes);
    const whole = Math.floor(bytes.length / PAGE_DESC.size);
    return Array.from({ length: whole }, (_, i) => PAGE_DESC.read(view, i * PAGE_DESC.size, header.littleEndian));
  };
  const dataAt = read(descriptorsAt, PAGE_DESC.size)[0]?.offset ?? 0;
  const table = dataAt - descriptorsAt;
  if (table <= 0 || table % PAGE_DESC.size !== 0 || table > header.maxMapnr * PAGE_DESC.size) return;
  const last = Math.min(table, LAST_DESCRIPTORS * PAGE_DESC.size);
  const ends = read(dataAt - last, last).map(({ offset, size }) => offset + size);
  const end = Math.max(dataAt, ...ends.filter(Number.isFinite));
  if (end <= source.size) return;
  damage.add(
    'EXH_TRUNCATED',
    'pages',
    `${source.name}: the last pages end at byte ${end}, the file has ${source.size}: the pages behind are lost`,
  );
}

/** Are the files one set, and all of it? Gives max_mapnr. */
function checkSet(members: readonly OpenedMember[], damage: DamageLog): number {
  const [first] = members as [OpenedMember];
  const maxMapnr = Math.max(...members.map((member) => member.header.maxMapnr));
  const set = members.some((member) => member.header.sub.split !== 0);
  if (members.length > 1) {
    for (const { header, source } of members) {
      const same =
        header.sub.split !== 0 &&
        header.blockSize === first.header.blockSize &&
        header.maxMapnr === first.header.maxMapnr &&
        header.release === first.header.release;
      if (same) continue;
      throw new ExhumeError('EXH_USAGE', `${source.name} and ${first.source.name} are not of one --split set`, {
        file: source.name,
        hint: 'name one dump, or all files that one makedumpfile --split made',
      });
    }
  }
  let expected = 0;
  for (const { startPfn, endPfn, source } of members) {
    if (startPfn > expected) missingMember(expected, startPfn, damage);
    if (startPfn < expected || endPfn < startPfn) {
      throw new ExhumeError(
        'EXH_USAGE',
        `${source.name} holds pages ${startPfn} to ${endPfn}, which another file of the set holds already`,
        { file: source.name, expected, found: startPfn, hint: 'name each file of the set once' },
      );
    }
    expected = endPfn;
  }
  if (set && expected < maxMapnr) missingMember(expected, maxMapnr, damage);
  return maxMapnr;
}

function missingMember(from: number, to: number, damage: DamageLog): void {
  damage.add(
    'EXH_TRUNCATED',
    'split set',
    `no file for pages ${from} to ${to}: a member of the --split set is missing, its pages count as lost`,
  );
}

function readNotes({ header, source }: OpenedMember, damage: DamageLog): Note[] {
  const { offset_note, size_note } = header.sub;
  const bytes = readArea(source, offset_note, size_note, 'notes', damage);
  return bytes === undefined ? [] : parseNotes(bytes, offset_note, header.littleEndian, damage);
}

function readArea(
  source: CachedSource,
  offset: number,
  size: number,
  what: string,
  damage: DamageLog,
): Uint8Array | undefined {
  if (size === 0) return undefined;
  const bytes = offset === 0 ? new Uint8Array() : readUpTo(source, offset, Math.min(size, MAX_AREA));
  if (bytes.length < size) {
    damage.add(
      'EXH_TRUNCATED',
      what,
      `${source.name}: the sub header says ${what} of ${size} bytes at ${offset}, ${bytes.length} can be read`,
    );
  }
  return bytes.length === 0 ? undefined : bytes;
}

/** Diskdump's status is 1 while it is being written; kdump's has a flag. */
function isMarkedIncomplete(header: DiskdumpHeader): boolean {
  return header.signature === 'KDUMP   ' && (header.status & STATUS_INCOMPLETE) !== 0;
}

function describe(header: DiskdumpHeader, files: number): string {
  const kind = header.signature === 'KDUMP   ' ? 'kdump-compressed' : 'diskdump';
  const set = files > 1 ? `, a set of ${files} files` : '';
  return `${kind}, header version ${header.version}, ${header.wordBits}-bit${set}`;
}

function firstDescriptor({ source, descriptorsAt, littleEndian }: OpenedMember) {
  const bytes = source.peek(descriptorsAt, PAGE_DESC.size);
  if (bytes.length < PAGE_DESC.size) return [];
  return [PAGE_DESC.decode(viewOf(bytes), 0, descriptorsAt, littleEndian)];
}
