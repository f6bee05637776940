import { ExhumeError } from '../bytes/errors.js';
import { decodeBzip2 } from './bzip2.js';
import { decodeGzip } from './gzip.js';
import { decodeLz4Legacy } from './lz4-legacy.js';
import { decodeLzmaFile } from './lzma.js';
import { decodeLzop } from './lzop.js';
import { decodeXz } from './xz.js';
import { decodeZstd } from './zstd.js';

/** Decompresses a whole file into `into`, and gives the bytes it made: at most as many as there is room for. Throws EXH_CODEC. */
export type FileDecoder = (compressed: Uint8Array, into: Uint8Array) => number;

export interface FileCompression {
  /** The program that makes such files. */
  readonly name: 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzop' | 'lz4' | 'zstd';
  readonly decode: FileDecoder;
}

/** By the bytes that files of it begin with: every way in which a kernel's image is compressed. */
const COMPRESSIONS: readonly (FileCompression & { readonly magic: readonly number[] })[] = [
  { name: 'gzip', magic: [0x1f, 0x8b, 8], decode: decodeGzip },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68], decode: decodeBzip2 },
  { name: 'lzma', magic: [0x5d, 0, 0], decode: decodeLzmaFile },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], decode: decodeXz },
  { name: 'lzop', magic: [0x89, 0x4c, 0x5a, 0x4f, 0], decode: decodeLzop },
  { name: 'lz4', magic: [0x02, 0x21, 0x4c, 0x18], decode: decodeLz4Legacy },
  {
    name: 'zstd',
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    decode: (compressed, into) => {
      decodeZstd(compressed, into);
      return into.length;
    },
  },
];

/** How a file is compressed, by its first bytes; undefined when it is not, or in an unknown way. */
export function compressionOf(head: Uint8Array): FileCompression | undefined {
  return COMPRESSIONS.find(({ magic }) => magic.every((byte, index) => head[index] === byte));
}

/** No kernel packs better; a size that says so is not believed, as memory would be taken for it. */
const MOST_GROWTH = 64;

/**
 * Decompresses a file of which it is known how large it was. Throws EXH_CODEC for data that is broken or makes another size,
 * or when the size is not to be believed.
 */
export function decompressFile({ name, decode }: FileCompression, compressed: Uint8Array, size: number): Uint8Array {
  if (size > compressed.length * MOST_GROWTH) {
    throw new ExhumeError('EXH_CODEC', `${name}: ${compressed.length} bytes would become ${size}`, { found: size });
  }
  const into = new Uint8Array(size);
  const made = decode(compressed, into);
  if (made === size) return into;
  throw new ExhumeError('EXH_CODEC', `${name}: ${made} bytes instead of ${size}`, { expected: size, found: made });
}
