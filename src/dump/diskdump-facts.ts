import { hex } from '../bytes/address.js';
import type { DecodedField, FieldValue } from '../bytes/struct-table.js';
import type { CachedSource } from './cached-source.js';
import type { HeaderFact, Note } from './container.js';
import { type DiskdumpHeader, STATUS_EXCLUDED_VMEMMAP, STATUS_INCOMPLETE } from './diskdump-header.js';
import { PAGE_COMPRESSION } from './diskdump-memory.js';

const HEXADECIMAL = /^(status|phys_base|offset_)/;

/** makedumpfile -d (makedumpfile.8): what each bit leaves out. */
const DUMP_LEVELS: readonly (readonly [bit: number, what: string])[] = [
  [1, 'zero pages (all but one)'],
  [2, 'page cache'],
  [4, 'private page cache'],
  [8, 'user pages'],
  [16, 'free pages'],
];

/** Both headers of a file in words. `inSet`: the file's name is told too. */
export function diskdumpFacts(
  header: DiskdumpHeader,
  source: CachedSource,
  notes: readonly Note[],
  inSet: boolean,
): HeaderFact[] {
  const facts: HeaderFact[] = inSet ? [{ name: 'file', value: source.name }] : [];
  const fromQemu = notes.some((note) => note.name === 'QEMU');
  for (const { name: struct, fields } of header.structures) {
    for (const field of fields) {
      const note = struct === 'disk_dump_header' ? mainNote(header, field, fromQemu) : subNote(header, field, fromQemu);
      facts.push({ name: field.name, value: inWords(field), ...(note === undefined ? {} : { note }) });
    }
  }
  const bitmapsAt = (1 + header.subHeaderBlocks) * header.blockSize;
  const descriptorsAt = bitmapsAt + header.bitmapBlocks * header.blockSize;
  facts.push(
    { name: 'bitmaps', value: hex(bitmapsAt), note: 'file offset' },
    { name: 'page descriptors', value: hex(descriptorsAt), note: 'file offset' },
  );
  if (header.wordBits === 32) facts.push({ name: 'sub header layout', value: header.subHeaderLayout });
  return facts;
}

function inWords({ name, value }: DecodedField): string | number | bigint {
  if (typeof value === 'object') return String(value);
  if (typeof value !== 'string' && HEXADECIMAL.test(name) && Number.isFinite(Number(value))) return hex(value);
  return value;
}

function mainNote(header: DiskdumpHeader, { name, value }: DecodedField, fromQemu: boolean): string | undefined {
  switch (name) {
    case 'utsname.machine':
    case 'utsname.release':
      if (fromQemu && (value === '' || value === 'Unknown')) return 'QEMU writes no utsname';
      return undefined;
    case 'timestamp.tv_sec':
      return Number(value) === 0 ? 'no time was written' : isoTime(value);
    case 'status':
      return header.signature === 'KDUMP   ' ? statusInWords(Number(value)) : undefined;
    case 'block_size':
      return 'bytes; the page size';
    case 'sub_hdr_size':
      return 'blocks';
    case 'bitmap_blocks':
      return 'blocks of both bitmaps';
    case 'max_mapnr':
      return header.version >= 6 ? 'obsolete: max_mapnr_64 counts' : 'pages';
    default:
      return undefined;
  }
}

function subNote(header: DiskdumpHeader, { name, value }: DecodedField, fromQemu: boolean): string | undefined {
  switch (name) {
    case 'phys_base':
      return fromQemu
        ? 'QEMU reads the guest’s decimal number as hexadecimal: not to be trusted'
        : 'as the writer says';
    case 'dump_level': {
      const out = DUMP_LEVELS.filter(([bit]) => (Number(value) & bit) !== 0).map(([, what]) => what);
      return out.length === 0 ? 'nothing left out' : `${out.join(', ')} left out`;
    }
    case 'split':
      return Number(value) === 0 ? 'not split' : 'one of several files';
    case 'start_pfn':
    case 'end_pfn':
      return header.version >= 6 ? 'obsolete' : undefined;
    case 'size_vmcoreinfo':
    case 'size_note':
    case 'size_eraseinfo':
      return 'bytes';
    default:
      return undefined;
  }
}

function statusInWords(status: number): string {
  const words: string[] = PAGE_COMPRESSION.filter(([flag]) => (status & flag) !== 0).map(([, method]) => method);
  if (words.length === 0) words.push('not compressed');
  if ((status & STATUS_INCOMPLETE) !== 0) words.push('incomplete: the writer ran out of space');
  if ((status & STATUS_EXCLUDED_VMEMMAP) !== 0) words.push('unused vmemmap pages left out');
  return words.join(', ');
}

function isoTime(seconds: FieldValue): string | undefined {
  const milliseconds = Number(seconds) * 1000;
  return Math.abs(milliseconds) <= 8.64e15 ? new Date(milliseconds).toISOString() : undefined;
}
