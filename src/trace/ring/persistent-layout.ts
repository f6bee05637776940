import { type ByteSource, readUpTo } from '../../bytes/byte-source.js';
import type { Damage } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { attempt } from '../../kernel/collect.js';

/**
 * How a persistent ring buffer lies in its memory. All little endian, as the one architecture that places them.
 *
 * Since 6.15 one `ring_buffer_meta` leads, a scratch pad follows, then a chunk for each possible CPU: `ring_buffer_cpu_meta` and its
 * sub-buffers. Before, each CPU's chunk begins with its own `ring_buffer_meta`: of 56 bytes up to 6.13, of 48 in 6.14.
 * Source: `kernel/trace/ring_buffer.c` (`rb_range_meta`, `rb_meta_init`, `rb_cpu_meta_valid`), `trace.c` (`struct trace_scratch`).
 */

const PART = 'persistent ring buffer';
/** `RING_BUFFER_META_MAGIC`. */
const MAGIC = 0x0bad_feed;
const SUB_BUFFER_BYTES = 4096;
/** More CPUs than any kernel is built for. */
const MOST_CPUS = 8192;
/** A larger structure of metadata no kernel has. */
const MOST_META_BYTES = 256;
/** How far behind the header the first chunk is looked for when its place is damaged. */
const SEARCH_BYTES = 64 * 1024;
const MODULE_BYTES = 64;
/** The scratch pad has room for 128 modules. */
const MOST_MODULES = 1024;

/** Where the members of a CPU's metadata lie. */
interface MetaLayout {
  readonly size: number;
  readonly first: number;
  readonly head: number;
  readonly commit: number;
  readonly subBufferSize: number;
  readonly count: number;
}

const BEFORE_6_14: MetaLayout = { size: 56, first: 24, head: 32, commit: 40, subBufferSize: 48, count: 52 };
const IN_6_14: MetaLayout = { size: 48, first: 16, head: 24, commit: 32, subBufferSize: 40, count: 44 };
const SINCE_6_15: MetaLayout = { size: 32, first: 0, head: 8, commit: 16, subBufferSize: 24, count: 28 };

/** One CPU's part. */
export interface PersistentChunk {
  readonly cpu: number;
  /** Of its first sub-buffer, from the start of the source, in bytes. */
  readonly offset: number;
  /** Of a sub-buffer, in bytes. */
  readonly size: number;
  /** How many sub-buffers. */
  readonly count: number;
  /** By place in the ring (0: the reader's), which sub-buffer; undefined: not told in a way that can be. */
  readonly order: Int32Array | undefined;
  /** Which sub-buffer is the head, and which was committed last; -1: not told in a way that can be. */
  readonly head: number;
  readonly commit: number;
}

export interface PersistentLayout {
  /** From the start of the source, in bytes. */
  readonly offset: number;
  /** In bytes, as far as chunks reach or the header tells. */
  readonly size: number;
  /** Which kernels write it so: `6.12`, `6.14`, `6.15`. */
  readonly since: string;
  readonly chunks: readonly PersistentChunk[];
  /** `trace_clocks[]` index; undefined: not told. */
  readonly clockId: number | undefined;
  /** Where the kernel that wrote it had its text, or something in it. */
  readonly text: { readonly of: '_text' | 'ring_buffer' | 'kaslr'; readonly address: bigint } | undefined;
  /** Where it had its modules, by address. */
  readonly modules: readonly { readonly name: string; readonly address: bigint }[];
  /** Why a kernel would not take it, or not all of it. */
  readonly damage: readonly Damage[];
}

/** Does a persistent ring buffer begin here? By its header alone. */
export function isPersistentBuffer(source: ByteSource, offset = 0): boolean {
  const header = readUpTo(source, offset, 24);
  return header.length === 24 && headerOf(viewOf(header)) !== undefined;
}

/** A magic number and the sizes of structures; a wrong magic number is forgiven where all else fits. */
function headerOf(view: DataView): { layout: MetaLayout; lead: number } | undefined {
  const magic = view.getUint32(0, true) === MAGIC;
  const sizes = view.getUint32(4, true);
  if (sizes < 1 << 16) {
    const layout = [BEFORE_6_14, IN_6_14].find(({ size }) => size === sizes);
    return magic && layout !== undefined ? { layout, lead: 0 } : undefined;
  }
  const size = sizes & 0xffff;
  const lead = sizes >>> 16;
  const fits =
    size >= SINCE_6_15.size && size <= MOST_META_BYTES && size % 4 === 0 && lead >= 24 && lead <= MOST_META_BYTES;
  const total = view.getBigUint64(8, true);
  if (!fits || (!magic && (total === 0n || total % BigInt(SUB_BUFFER_BYTES) !== 0n || total > 1n << 40n)))
    return undefined;
  return { layout: { ...SINCE_6_15, size }, lead };
}

/** Reads the metadata at `offset`; undefined where none begin there. Reads no more than the source has. */
export function readPersistentLayout(source: ByteSource, offset = 0): PersistentLayout | undefined {
  const bytes = readUpTo(source, offset, 24);
  const header = bytes.length === 24 ? headerOf(viewOf(bytes)) : undefined;
  return header === undefined ? undefined : new LayoutReader(source, offset, header.layout, header.lead).read();
}

class LayoutReader {
  private readonly damage: Damage[] = [];
  private readonly available: number;

  constructor(
    private readonly source: ByteSource,
    private readonly start: number,
    private readonly layout: MetaLayout,
    /** Bytes of the one leading structure; 0: there is none. */
    private readonly lead: number,
  ) {
    this.available = source.size - start;
  }

  read(): PersistentLayout {
    return this.lead === 0 ? this.old() : this.current();
  }

  private tell(message: string): void {
    if (this.damage.length < 64) this.damage.push({ code: 'EXH_BAD_STRUCTURE', part: PART, message });
  }

  private view(at: number, length: number): DataView {
    // What is not in a dump is as if the bytes ended there.
    return viewOf(
      attempt(this.damage, PART, () => readUpTo(this.source, this.start + at, length)) ?? new Uint8Array(0),
    );
  }

  private old(): PersistentLayout {
    const { layout } = this;
    const meta = this.view(0, layout.size);
    const chunks: PersistentChunk[] = [];
    let at = 0;
    const count = meta.byteLength === layout.size ? meta.getUint32(layout.count, true) : 0;
    while (chunks.length < MOST_CPUS) {
      const view = this.view(at, layout.size);
      if (view.byteLength < layout.size) break;
      if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== layout.size) break;
      const end = this.chunk(at, count, this.available, chunks);
      if (end === undefined) break;
      at = end;
    }
    if (chunks.length === 0) this.tell('no CPU’s part of it lies within the bytes that there are');
    const address = meta.byteLength === layout.size ? meta.getBigUint64(8, true) : 0n;
    return {
      offset: this.start,
      size: at,
      since: layout === IN_6_14 ? '6.14' : '6.12',
      chunks,
      clockId: undefined,
      text:
        address === 0n && layout !== IN_6_14
          ? undefined
          : { of: layout === IN_6_14 ? 'kaslr' : 'ring_buffer', address },
      modules: [],
      damage: this.damage,
    };
  }

  private current(): PersistentLayout {
    const meta = this.view(0, 24);
    if (meta.getUint32(0, true) !== MAGIC) this.tell('the magic number is wrong: a kernel would begin it anew');
    const total = Number(meta.getBigUint64(8, true));
    if (total > this.available) {
      this.tell(`its header tells ${total} bytes, ${this.available} are there`);
    }
    const limit = total > 0 ? Math.min(total, this.available) : this.available;
    const told = Number(meta.getBigUint64(16, true));
    const chunks: PersistentChunk[] = [];
    const first = this.firstChunk(told, limit);
    if (first !== undefined) {
      for (let at: number | undefined = first.at; at !== undefined && chunks.length < MOST_CPUS; ) {
        at = this.chunk(at, first.count, limit, chunks);
      }
    }
    if (chunks.length === 0) this.tell('no CPU’s part of it can be found');
    const scratch = this.scratch(Math.min(first?.at ?? told, limit));
    return { offset: this.start, size: limit, since: '6.15', chunks, ...scratch, damage: this.damage };
  }

  /** Where the first chunk begins and how many sub-buffers each has. */
  private firstChunk(told: number, limit: number): { at: number; count: number } | undefined {
    if (told >= this.lead && told <= limit) {
      const own = this.plausible(told, limit);
      if (own !== undefined && this.follows(told, own, limit)) return { at: told, count: own };
      // All chunks but the first begin where a sub-buffer could.
      for (let at = alignUp(told, SUB_BUFFER_BYTES); at < limit; at += SUB_BUFFER_BYTES) {
        const other = this.plausible(at, limit);
        if (other !== undefined && this.end(told, other) <= at) return { at: told, count: other };
      }
      if (own !== undefined) return { at: told, count: own };
    }
    this.tell(`the first part should begin at ${told}: a kernel would begin it anew`);
    for (let at = this.lead; at < Math.min(SEARCH_BYTES, limit); at += 8) {
      const count = this.plausible(at, limit);
      if (count !== undefined) return { at, count };
    }
    return undefined;
  }

  /** Where the chunk ends whose metadata begin at `at`. */
  private end(at: number, count: number): number {
    return alignUp(at + this.layout.size + 4 * count, SUB_BUFFER_BYTES) + SUB_BUFFER_BYTES * count;
  }

  /** Is the next chunk where it must be, or the end? */
  private follows(at: number, count: number, limit: number): boolean {
    const next = this.end(at, count);
    return this.end(next, count) > limit || this.plausible(next, limit) === count;
  }

  /** How many sub-buffers the metadata here tell; undefined: these are none. */
  private plausible(at: number, limit: number): number | undefined {
    const { layout } = this;
    const view = this.view(at, layout.size);
    if (view.byteLength < layout.size || view.getUint32(layout.subBufferSize, true) !== SUB_BUFFER_BYTES)
      return undefined;
    const count = view.getUint32(layout.count, true);
    return count < 2 || this.end(at, count) > limit ? undefined : count;
  }

  /** Reads one CPU's metadata. Gives back where the next begins; undefined: this one is not within the limit. */
  private chunk(at: number, count: number, limit: number, chunks: PersistentChunk[]): number | undefined {
    const { layout } = this;
    const end = this.end(at, count);
    const offset = end - SUB_BUFFER_BYTES * count;
    if (count < 2 || end > limit) return undefined;
    const cpu = chunks.length;
    const view = this.view(at, layout.size + 4 * count);
    if (view.byteLength < layout.size + 4 * count) {
      chunks.push({
        cpu,
        offset: this.start + offset,
        size: SUB_BUFFER_BYTES,
        count,
        order: undefined,
        head: -1,
        commit: -1,
      });
      return end;
    }
    const bad = (what: string): void => this.tell(`CPU ${cpu}: ${what}: a kernel would begin it anew`);
    const size = view.getUint32(layout.subBufferSize, true);
    if (size !== SUB_BUFFER_BYTES) bad(`sub-buffers of ${size} bytes`);
    const told = view.getUint32(layout.count, true);
    if (told !== count) bad(`${told} sub-buffers where the others have ${count}`);
    const first = view.getBigUint64(layout.first, true);
    const indexOf = (member: number, name: string): number => {
      const distance = view.getBigUint64(member, true) - first;
      const within =
        distance >= 0n && distance < BigInt(count * SUB_BUFFER_BYTES) && distance % BigInt(SUB_BUFFER_BYTES) === 0n;
      if (!within) bad(`its ${name} lies outside`);
      return within ? Number(distance) / SUB_BUFFER_BYTES : -1;
    };
    const order = orderOf(view, layout.size, count);
    if (order === undefined) bad('its list of sub-buffers is none');
    chunks.push({
      cpu,
      offset: this.start + offset,
      size: SUB_BUFFER_BYTES,
      count,
      order,
      head: indexOf(layout.head, 'head'),
      commit: indexOf(layout.commit, 'last page'),
    });
    return end;
  }

  /** `struct trace_scratch`: u32 clock_id, long text_addr, long nr_entries, then the modules: an address and a name of 56 bytes. */
  private scratch(end: number): Pick<PersistentLayout, 'clockId' | 'text' | 'modules'> {
    const at = alignUp(this.lead, 8);
    if (at + 24 > end) return { clockId: undefined, text: undefined, modules: [] };
    const view = this.view(at, Math.min(end - at, 24 + MOST_MODULES * MODULE_BYTES));
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    if (bytes.length < 24) return { clockId: undefined, text: undefined, modules: [] };
    const address = view.getBigUint64(8, true);
    const told = Number(view.getBigUint64(16, true));
    const room = Math.floor((bytes.length - 24) / MODULE_BYTES);
    if (told > room) this.tell(`it tells of ${told} modules, and has room for ${room}`);
    const modules = Array.from({ length: told > room ? 0 : told }, (_, index) => {
      const entry = 24 + index * MODULE_BYTES;
      const name = bytes.subarray(entry + 8, entry + MODULE_BYTES);
      const length = name.indexOf(0);
      return {
        address: view.getBigUint64(entry, true),
        name: new TextDecoder('latin1').decode(length < 0 ? name : name.subarray(0, length)),
      };
    });
    return {
      clockId: view.getUint32(0, true),
      text: address === 0n ? undefined : { of: '_text', address },
      modules,
    };
  }
}

/** `buffers[]`: each sub-buffer once; undefined where it isn't so. */
function orderOf(view: DataView, at: number, count: number): Int32Array | undefined {
  const order = new Int32Array(count);
  const met = new Uint8Array(count);
  for (let place = 0; place < count; place++) {
    const index = view.getInt32(at + 4 * place, true);
    if (index < 0 || index >= count || met[index] === 1) return undefined;
    met[index] = 1;
    order[place] = index;
  }
  return order;
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
