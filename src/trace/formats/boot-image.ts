import { type ByteSource, MemorySource, readExactly, readUpTo } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { compressionOf, decompressFile } from '../../codecs/compressed-file.js';
import { isElf } from '../../dump/elf-header.js';

/** Offsets in a bzImage; Documentation/arch/x86/boot.rst. */
const SETUP_SECTORS = 0x1f1;
const HEADER_MAGIC = 0x202;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const HEADER_END = 0x250;
/** Protocol 2.08, Linux 2.6.26: from there on the header tells where the payload is. */
const FIRST_WITH_PAYLOAD = 0x208;
const SECTOR = 512;
/** Larger than any kernel with all that can be built into it. */
const LARGEST_IMAGE = 1 << 30;

/** A kernel's image as it is linked. */
export interface BootImage {
  /** The ELF file. */
  readonly elf: ByteSource;
  /** How it was packed: `bzImage (zstd)`; undefined: the file is the ELF file itself. */
  readonly packing: string | undefined;
}

/**
 * The `vmlinux` in a kernel's boot image (`vmlinuz`, an x86 bzImage), or in a file that is one already.
 * Throws EXH_NOT_A_DUMP for other files, EXH_TRUNCATED, EXH_CODEC, EXH_UNSUPPORTED_FORMAT.
 */
export function openBootImage(source: ByteSource): BootImage {
  const head = readUpTo(source, 0, HEADER_END);
  if (isElf(head)) return { elf: source, packing: undefined };
  const view = viewOf(head);
  if (head.length < HEADER_END || view.getUint32(HEADER_MAGIC) !== 0x48647253) {
    throw new ExhumeError('EXH_NOT_A_DUMP', `${source.name}: neither a vmlinux nor a bzImage`, { file: source.name });
  }
  const version = view.getUint16(VERSION, true);
  if (version < FIRST_WITH_PAYLOAD) {
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${source.name}: boot protocol ${version.toString(16)}`, {
      file: source.name,
      offset: VERSION,
      expected: 'at least 208 (Linux 2.6.26)',
      found: version,
    });
  }
  // 0 stands for 4 there.
  const start = ((view.getUint8(SETUP_SECTORS) || 4) + 1) * SECTOR + view.getUint32(PAYLOAD_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH, true);
  const payload = readExactly(source, start, length, 'the compressed kernel');
  if (isElf(payload)) return { elf: new MemorySource(payload, source.name), packing: 'bzImage' };
  const compression = compressionOf(payload);
  if (compression === undefined || length < 8) {
    throw new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${source.name}: the kernel is compressed in an unknown way`, {
      file: source.name,
      offset: start,
    });
  }
  // The size stands at the end: gzip has it there itself, the kernel's build puts it behind the others (size_append).
  const size = viewOf(payload).getUint32(length - 4, true);
  if (size > LARGEST_IMAGE) {
    throw new ExhumeError('EXH_CODEC', `${source.name}: the kernel would be ${size} bytes long`, { found: size });
  }
  const stream = compression.name === 'gzip' ? payload : payload.subarray(0, length - 4);
  const elf = new MemorySource(decompressFile(compression, stream, size), source.name);
  return { elf, packing: `bzImage (${compression.name})` };
}
