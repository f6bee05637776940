import { physicalAddress } from '../bytes/address.js';
import type { ByteSink } from '../bytes/byte-sink.js';
import { ExhumeError } from '../bytes/errors.js';
import type { PhysicalMemory } from '../dump/memory.js';
import type { Handover, HandoverFile, MemoryArea } from './model.js';
import { blockAt } from './preserved.js';
import { PAGE } from './source-reader.js';
import type { NotedOrder } from './sources/page-marks.js';
import { hexText } from './words.js';

/** Bytes that are read at once. */
const AT_ONCE = 1 << 20;

/** Something that was handed over, and where its bytes lie. */
export interface Extract {
  readonly name: string;
  readonly kind: 'description' | 'memory' | 'file';
  /** In bytes. */
  readonly size: number;
  /** Ascending by offset; what they leave out is a hole of the file. */
  readonly pieces: readonly (MemoryArea & { readonly offset: number })[];
}

/**
 * What has this name in the handovers: a file (`session/token`), a user (its description), a `reserve_mem` area, or any other
 * area that is named (several of one name behind each other). `incoming:` or `outgoing:` before it chooses the handover.
 * Throws EXH_USAGE when there is no such thing, or several; EXH_BAD_STRUCTURE for a file that cannot be put together.
 * @param noted what the kernel that was given the handover noted of folios, for one whose map is gone
 */
export function findExtract(handovers: readonly Handover[], wanted: string, noted?: NotedOrder): Extract {
  const [, direction, name = wanted] = /^(incoming|outgoing):(.*)$/.exec(wanted) ?? [];
  const chosen = handovers.filter((one) => direction === undefined || one.direction === direction);
  const [first, another] = chosen.flatMap((handover) => extractsOf(handover, name, noted));
  if (first === undefined) {
    throw new ExhumeError('EXH_USAGE', `nothing called "${name}" was handed over`, {
      hint: `there are: ${[...new Set(chosen.flatMap(namesIn))].slice(0, 32).join(', ') || 'no names'}`,
    });
  }
  if (another !== undefined) {
    throw new ExhumeError('EXH_USAGE', `"${name}" is a ${first.kind} and a ${another.kind}, or in several handovers`, {
      hint: 'incoming:NAME, outgoing:NAME, or the whole name: "reserve_mem NAME"',
    });
  }
  return first;
}

function extractsOf(handover: Handover, name: string, noted: NotedOrder | undefined): Extract[] {
  const found: Extract[] = [];
  for (const file of handover.files) if (file.name === name) found.push(ofFile(handover, file, noted));
  for (const user of handover.users) {
    if (user.name === name && user.blob !== undefined) found.push(behindEachOther(name, 'description', [user.blob]));
    for (const what of [name, `reserve_mem ${name}`]) {
      const areas = user.areas.filter((area) => area.what === what);
      if (areas.length > 0) found.push(behindEachOther(what, 'memory', areas));
    }
  }
  return found;
}

function namesIn({ files, users }: Handover): string[] {
  return [
    ...users.filter(({ blob }) => blob !== undefined).map(({ name }) => name),
    ...files.map(({ name }) => name),
    ...users.flatMap(({ areas }) => areas.map(({ what }) => what)),
  ];
}

function behindEachOther(name: string, kind: Extract['kind'], areas: readonly MemoryArea[]): Extract {
  let size = 0;
  const pieces = areas.map((area) => {
    const offset = size;
    size += area.size;
    return { offset, address: area.address, size: area.size };
  });
  return { name, kind, size, pieces };
}

/**
 * A memfd's bytes, by its folios, each as large as the preserved block that it is (mm/memfd_luo.c). Pages that no folio has are
 * zeros: holes of the memfd.
 */
function ofFile(
  { preserved, direction }: Handover,
  { name, size, folios }: HandoverFile,
  noted: NotedOrder | undefined,
): Extract {
  const pieces: (MemoryArea & { offset: number })[] = [];
  const sorted = [...folios].sort((a, b) => a.index - b.index);
  for (const [position, { address, index }] of sorted.entries()) {
    const offset = index * PAGE;
    if (offset >= size) break;
    const next = Math.min((sorted[position + 1]?.index ?? Number.POSITIVE_INFINITY) * PAGE, size);
    const order =
      blockAt(preserved?.blocks ?? [], address)?.order ?? (direction === 'outgoing' ? undefined : noted?.(address));
    if (order === undefined && next > offset + PAGE) {
      throw broken(
        `${name}: how large the folio at ${hexText(address)} is stands in the map of preserved memory, which does not have ` +
          'it, and no kernel noted it: what follows it in the file may be more of it, or a hole',
      );
    }
    const length = Math.min(PAGE * 2 ** (order ?? 0), size - offset);
    if (offset + length > next) throw broken(`${name}: two folios for page ${next / PAGE}`);
    pieces.push({ offset, address, size: length });
  }
  return { name, kind: 'file', size, pieces };
}

/**
 * Copies it out of memory. Throws EXH_PAGE_EXCLUDED, EXH_PAGE_LOST or EXH_PAGE_ABSENT for the first page that is not there,
 * EXH_BAD_STRUCTURE when it claims more than there is memory.
 */
export function copyExtract({ name, size, pieces }: Extract, memory: PhysicalMemory, sink: ByteSink): void {
  const claimed = pieces.reduce((sum, piece) => sum + piece.size, 0);
  if (claimed > memory.describedBytes() || !Number.isSafeInteger(size)) {
    throw broken(`${name} is to have ${size} bytes: more than the machine`);
  }
  const buffer = new Uint8Array(AT_ONCE);
  for (const { offset, address, size: length } of pieces) {
    for (let done = 0; done < length; done += AT_ONCE) {
      const part = buffer.subarray(0, Math.min(AT_ONCE, length - done));
      memory.read(physicalAddress(address + done), part);
      sink.write(offset + done, part);
    }
  }
  sink.extend(size);
}

function broken(message: string): ExhumeError {
  return new ExhumeError('EXH_BAD_STRUCTURE', message);
}
