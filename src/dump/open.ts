import { hexBytes } from '../bytes/address.js';
import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { type Damage, ExhumeError, isExhumeError } from '../bytes/errors.js';
import type { Decoders } from '../codecs/codec.js';
import { portableDecoders } from '../codecs/decoders.js';
import type { Container } from './container.js';
import { DamageLog } from './damage-log.js';
import { openDiskdump } from './diskdump.js';
import { diskdumpSignature } from './diskdump-header.js';
import { openElfCore } from './elf-core.js';
import { isElf } from './elf-header.js';
import { FlattenedSource, isFlattened } from './flattened.js';
import { unreadable } from './foreign.js';
import { isQcow2 } from './qcow2.js';
import { looksLikeRawMemory, openRaw, type RawRange } from './raw.js';

export interface OpenOptions {
  /** `raw`: take the file as a raw memory image, whatever it looks like. Otherwise its content decides. */
  readonly format?: 'raw';
  /** Where the parts of a raw image belong; without, byte 0 is physical address 0. Implies `format: 'raw'`. */
  readonly ranges?: readonly RawRange[];
  /** Bytes of files and pages to keep in memory; 32 MiB when not given. */
  readonly cacheBytes?: number;
  /** The source is the memory of a running kernel (/proc/kcore): nothing is kept. Only for a source that was named as such. */
  readonly live?: boolean;
  /** Decoders to use instead of the portable ones. */
  readonly decoders?: Decoders;
  /** Which snapshot of a qcow2 image, by its name or ID; without, the newest that has a machine in it. */
  readonly snapshot?: string;
  /** Finds programs whose processes were cored: what they export is one more way to what is in the core. */
  readonly programs?: ProgramFinder;
  /** Ways of opening what is no dump by itself, but has a machine in it; asked in turn where nothing else reads a file. */
  readonly openers?: readonly Opener[];
}

/** The program of a path in the core and of a build id in hexadecimal digits, or a file with its symbols; undefined: not there. */
export type ProgramFinder = (path: string, buildId: string) => ByteSource | undefined;

/** Opens files that have a machine in them; undefined: they are none of its kind. Throws where they are, and cannot be read. */
export type Opener = (
  sources: readonly ByteSource[],
  options: {
    readonly cacheBytes: number;
    readonly decoders: Decoders;
    readonly snapshot?: string | undefined;
    readonly programs?: ProgramFinder | undefined;
  },
) => Container | undefined;

const DEFAULT_CACHE = 32 * 1024 * 1024;
/** Enough of the beginning for every signature. */
const HEAD = 64 * 1024;

/**
 * Opens a dump by its content. Several sources are the files of one `--split` set, in any order.
 * Throws EXH_NOT_A_DUMP, EXH_UNSUPPORTED_FORMAT for a format that exhume knows but cannot read,
 * EXH_BAD_HEADER and EXH_TRUNCATED when nothing can be read of it, EXH_USAGE when the files do not belong together.
 * What is broken but did not stop it is in the container's `damage`.
 */
export function openDump(sources: readonly ByteSource[], options: OpenOptions = {}): Container {
  const [first, ...others] = sources;
  if (first === undefined) throw new ExhumeError('EXH_USAGE', 'no file to open');
  if (options.snapshot !== undefined && !isQcow2(readUpTo(first, 0, HEAD))) {
    throw new ExhumeError('EXH_USAGE', `${first.name} is no qcow2 image: it has no snapshots`, { file: first.name });
  }
  const cacheBytes = options.cacheBytes ?? DEFAULT_CACHE;
  if (options.format === 'raw' || options.ranges !== undefined) {
    onlyOne(first, others, 'a raw memory image');
    return openRaw(first, {
      cacheBytes,
      ranges: options.ranges,
      evidence: 'taken as raw memory because it was named so',
    });
  }
  const opened = sources.map(unflattened);
  let container: Container;
  try {
    container = openByContent(opened, { ...options, cacheBytes });
  } catch (error) {
    if (!isExhumeError(error, 'EXH_UNSUPPORTED_FORMAT')) throw error;
    const found = openOtherwise(
      opened.map(({ source }) => source),
      { ...options, cacheBytes },
    );
    if (found === undefined) throw error;
    container = found;
  }
  const damage = opened.flatMap((one) => one.damage);
  if (damage.length === 0) return container;
  // The container's own list may still grow, so it is joined each time it is asked for.
  return Object.defineProperty({ ...container, incomplete: container.incomplete || damage.length > 0 }, 'damage', {
    get: () => [...damage, ...container.damage],
    enumerable: true,
  });
}

function openOtherwise(
  sources: readonly ByteSource[],
  {
    openers = [],
    cacheBytes,
    decoders = portableDecoders,
    snapshot,
    programs,
  }: OpenOptions & { readonly cacheBytes: number },
): Container | undefined {
  for (const open of openers) {
    const container = open(sources, { cacheBytes, decoders, snapshot, programs });
    if (container !== undefined) return container;
  }
  return undefined;
}

interface Opened {
  /** What the file holds: itself, or what its records make. */
  readonly source: ByteSource;
  readonly flattened: boolean;
  readonly head: Uint8Array;
  readonly damage: readonly Damage[];
}

function unflattened(source: ByteSource): Opened {
  const head = readUpTo(source, 0, HEAD);
  if (!isFlattened(head)) return { source, flattened: false, head, damage: [] };
  const damage = new DamageLog();
  const inner = FlattenedSource.open(source, damage);
  return { source: inner, flattened: true, head: readUpTo(inner, 0, HEAD), damage: damage.entries };
}

function openByContent(opened: readonly Opened[], options: OpenOptions & { readonly cacheBytes: number }): Container {
  const [first, ...others] = opened as [Opened, ...Opened[]];
  const { cacheBytes } = options;
  const { source, head, flattened } = first;
  if (diskdumpSignature(head) !== undefined) {
    const decoders = options.decoders ?? portableDecoders;
    const stranger = others.find((other) => diskdumpSignature(other.head) === undefined);
    if (stranger !== undefined) {
      throw new ExhumeError('EXH_USAGE', `${stranger.source.name} is no kdump file, so no part of a --split set`, {
        file: stranger.source.name,
        hint: 'name one dump, or all files that one makedumpfile --split made',
      });
    }
    return openDiskdump(
      opened.map((one) => one.source),
      { cacheBytes, decoders, flattened: opened.some((one) => one.flattened) },
    );
  }
  const strangers = others.map((other) => other.source);
  if (isElf(head)) {
    const live = options.live === true;
    if (!live && source.size === Number.MAX_SAFE_INTEGER) throw liveNotNamed(source.name);
    const container = openElfCore(source, { cacheBytes, live, flattened });
    onlyOne(source, strangers, 'an ELF core');
    return container;
  }
  const foreign = unreadable(source, head);
  if (foreign !== undefined) throw foreign;
  const evidence = looksLikeRawMemory(source, head);
  if (evidence !== undefined) {
    onlyOne(source, strangers, 'a raw memory image');
    return openRaw(source, { cacheBytes, evidence });
  }
  throw notADump(source, head);
}

function onlyOne(first: ByteSource, others: readonly ByteSource[], what: string): void {
  if (others.length === 0) return;
  throw new ExhumeError('EXH_USAGE', `${first.name} is ${what}: it cannot be opened together with other files`, {
    file: first.name,
    hint: 'name one file; only the members of a makedumpfile --split set are opened together',
  });
}

/** The error for a file that leads to a running kernel's memory without saying so by its name. */
export function liveNotNamed(name: string): ExhumeError {
  return new ExhumeError('EXH_USAGE', `${name} is the memory of the running kernel`, {
    file: name,
    hint: 'name /proc/kcore itself to look at the running kernel',
  });
}

function notADump(source: ByteSource, head: Uint8Array): ExhumeError {
  const first = head.subarray(0, 16);
  const hexadecimal = hexBytes(first, ' ');
  const printable = Array.from(first, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join(
    '',
  );
  const found = first.length === 0 ? 'it is empty' : `it begins with ${hexadecimal} "${printable}"`;
  return new ExhumeError('EXH_NOT_A_DUMP', `${source.name} is no dump that exhume knows: ${found}`, {
    file: source.name,
    offset: 0,
    found: hexadecimal,
    hint: 'a raw memory image is opened when it is named as raw',
  });
}
