import { type Damage, damageOf, type ErrorCode } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { PhysicalMemory } from '../../dump/memory.js';
import type { FtraceCpuNode } from '../../handover/ftrace/nodes.js';
import { hexText } from '../../handover/words.js';
import { attempt } from '../../kernel/collect.js';
import type { SubBuffer, TraceCpu, TraceStatistics } from '../model.js';
import { countedStatistics } from '../ring/count.js';
import { committedBytes, PAGE_HEADER, pageOf } from '../ring/page.js';
import { DESCRIPTOR_SIZES, type PageDescriptor, readDescriptor } from './buffer-page.js';

/** No sub-buffer is larger: 2^11 pages. */
const LARGEST_PAGE = 4096 << 11;
/** A sub-buffer without events tells nothing of the order. */
const SMALLEST_PAGE = 4096;

/** What the head of a page and its descriptor say. */
interface ListedPage {
  readonly address: number;
  readonly size: number;
  /** Of the descriptor, physical. */
  readonly descriptorAt: number | undefined;
  /** Undefined: it cannot be read. */
  readonly descriptor: PageDescriptor | undefined;
  /** Undefined: the page is not there. */
  readonly timestamp: bigint | undefined;
  /** Bytes of records, by the page itself; -1: it is not there, or says that it holds more than it can. */
  readonly commit: number;
}

/**
 * One CPU's ring as a handover of 2023/24 brings it: a list of the ring's pages, in the ring's order, from any page on. The oldest
 * is the one behind the page whose link is marked (`RB_PAGE_HEAD`), as for the kernel that takes it over. What the pages
 * themselves say counts more than what is said of them: their times must rise, their lengths are `commit`.
 */
export class HandedOverRing implements TraceCpu {
  readonly cpu: number;
  private listed: readonly ListedPage[] | undefined;
  private counted: TraceStatistics | undefined;

  constructor(
    private readonly memory: PhysicalMemory,
    private readonly node: FtraceCpuNode,
    private readonly damage: Damage[],
  ) {
    this.cpu = node.cpu;
  }

  /** They are not handed over: what there is is counted. */
  get statistics(): TraceStatistics {
    this.counted ??= countedStatistics(this.subBuffers());
    return this.counted;
  }

  /**
   * Where the old kernel had its linear map, by the pages' addresses there; undefined where they don't tell. With KASLR it is
   * another in each boot.
   */
  linearMap(): bigint | undefined {
    for (const { address, descriptor } of this.pages()) {
      if (descriptor !== undefined && descriptor.page > BigInt(address)) return descriptor.page - BigInt(address);
    }
    return undefined;
  }

  *subBuffers(): Generator<SubBuffer> {
    let into = new Uint8Array(SMALLEST_PAGE);
    let missed = false;
    for (const { address, size, descriptor } of this.pages()) {
      if (into.length !== size) into = new Uint8Array(size);
      const sub = attempt(this.damage, this.part, () => {
        this.memory.read(address as Parameters<PhysicalMemory['read']>[0], into);
        return pageOf(into, viewOf(into), true);
      });
      if (sub === undefined) missed = true;
      else if (sub.data.length > 0) {
        const consumed = Math.min(descriptor?.read ?? 0, size - PAGE_HEADER);
        yield { ...sub, lost: missed && sub.lost === 0 ? -1 : sub.lost, consumed };
        missed = false;
      }
    }
  }

  private get part(): string {
    return `trace of CPU ${this.cpu}`;
  }

  private tell(code: ErrorCode, message: string): void {
    const { damage, part } = this;
    if (!damage.some((known) => known.part === part && known.message === message)) damage.push({ code, part, message });
  }

  /** Those that may hold something, oldest first. */
  private pages(): readonly ListedPage[] {
    this.listed ??= this.inOrder();
    return this.listed;
  }

  private inOrder(): ListedPage[] {
    const all = this.withSoundDescriptors(this.readList());
    const marked = all.filter(({ descriptor }) => descriptor?.headNext === true);
    const first = marked[0];
    const head = first === undefined ? 0 : all.indexOf(first) + 1;
    const ring = [...all.slice(head), ...all.slice(0, head)].filter((page) => this.isUsed(page));
    const times = ring.flatMap(({ timestamp }) => (timestamp === undefined ? [] : [timestamp]));
    const rises = times.every((time, index) => index === 0 || (times[index - 1] ?? 0n) <= time);
    if (marked.length === 1 && rises) return ring;
    const why =
      marked.length === 1
        ? 'the times of its pages do not rise from the head that is marked'
        : marked.length === 0
          ? 'no page is marked as the head'
          : `${marked.length} pages are marked as the head`;
    if (ring.length > 0) this.tell('EXH_BAD_STRUCTURE', `${why}: its pages are put in order by their times`);
    const timeOf = ({ timestamp = 0n }: ListedPage): bigint => timestamp;
    return ring.sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : timeOf(a) > timeOf(b) ? 1 : 0));
  }

  private readList(): ListedPage[] {
    const all: ListedPage[] = [];
    let none = 0;
    const met = new Set<number>();
    for (const { descriptor: at, page } of this.node.pages) {
      if (
        page === undefined ||
        page.size < SMALLEST_PAGE ||
        page.size > LARGEST_PAGE ||
        page.address % SMALLEST_PAGE > 0
      ) {
        none++;
        continue;
      }
      if (met.has(page.address)) {
        this.tell('EXH_BAD_STRUCTURE', `the page at ${hexText(page.address)} is listed more than once`);
        continue;
      }
      met.add(page.address);
      const head = this.read(() => viewOf(this.memory.bytes(page.address, PAGE_HEADER)));
      const descriptor = at === undefined ? undefined : this.read(() => readDescriptor(this.memory, at));
      if (at !== undefined && !DESCRIPTOR_SIZES.includes(at.size)) {
        const known = DESCRIPTOR_SIZES.join(' or ');
        this.tell('EXH_UNSUPPORTED_FORMAT', `a struct buffer_page of ${at.size} bytes: ${known} are known`);
      }
      const committed = head === undefined ? -1 : committedBytes(head, true);
      all.push({
        address: page.address,
        size: page.size,
        descriptorAt: at?.address,
        descriptor,
        timestamp: head?.getBigUint64(0, true),
        commit: committed <= page.size - PAGE_HEADER ? committed : -1,
      });
    }
    if (none > 0) this.tell('EXH_BAD_STRUCTURE', `${none} of ${this.node.pages.length} pairs name no page of a ring`);
    return all;
  }

  private read<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      const { code, message } = damageOf(this.part, error);
      this.tell(code, message);
      return undefined;
    }
  }

  /**
   * Each descriptor leads to its page, and to the next one: by addresses of the old kernel that differ by one distance. One that
   * leads elsewhere was overwritten (a kernel that has taken the pages over gives the descriptors back) and tells nothing.
   */
  private withSoundDescriptors(all: readonly ListedPage[]): readonly ListedPage[] {
    const distances = new Map<bigint, number>();
    for (const { address, descriptor } of all) {
      if (descriptor === undefined) continue;
      const distance = descriptor.page - BigInt(address);
      distances.set(distance, (distances.get(distance) ?? 0) + 1);
    }
    const [usual] = [...distances].sort((a, b) => b[1] - a[1])[0] ?? [];
    if (usual === undefined) return all;
    let overwritten = 0;
    const sound = all.map((page) => {
      if (page.descriptor === undefined || page.descriptor.page - BigInt(page.address) === usual) return page;
      overwritten++;
      return { ...page, descriptor: undefined };
    });
    const links = sound.filter(({ descriptor }, index) => {
      const next = all[(index + 1) % all.length]?.descriptorAt;
      return descriptor !== undefined && next !== undefined && descriptor.next - BigInt(next) !== usual;
    }).length;
    if (overwritten > 0) {
      this.tell('EXH_BAD_STRUCTURE', `the descriptors of ${overwritten} of its ${all.length} pages were overwritten`);
    }
    if (links > 0)
      this.tell('EXH_BAD_STRUCTURE', `${links} of its pages were not followed by the next one in the list`);
    return sound;
  }

  /** The kernel takes what has entries or was written to; a page that says that it holds something is read, too. */
  private isUsed({ address, descriptor, commit }: ListedPage): boolean {
    if (commit < 0) return true;
    if (descriptor === undefined) return commit > 0;
    const told = descriptor.entries !== 0 || descriptor.write !== 0;
    if (commit > 0 && !told) {
      this.tell('EXH_BAD_STRUCTURE', `the next kernel drops the page at ${hexText(address)}: it is described as empty`);
    } else if (commit > descriptor.write) {
      this.tell(
        'EXH_BAD_STRUCTURE',
        `the page at ${hexText(address)} holds ${commit} bytes, and is described as holding ${descriptor.write}`,
      );
    }
    return told || commit > 0;
  }
}
