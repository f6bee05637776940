import { type ByteSource, readUpTo } from '../../bytes/byte-source.js';
import { ExhumeError } from '../../bytes/errors.js';
import { bytesOf, matches } from '../../bytes/search.js';
import { viewOf } from '../../bytes/struct-table.js';

/** What libvirt wrote before a stream: `virsh save`, and plain `virsh dump` since it is the same. */
export interface LibvirtSave {
  /** The domain's name. */
  readonly name: string | undefined;
  /** Where the stream begins, in the file. */
  readonly streamAt: number;
  /** The stream is gzip's. */
  readonly gzip: boolean;
  /** Why there is no stream there. */
  unreadable(source: ByteSource): ExhumeError;
}

const MAGIC = 'LibvirtQemudSave';
/** While it is being written. */
const PARTIAL = 'LibvirtQemudPart';
/** `struct _virQEMUSaveHeader`: magic[16], version, data_len, was_running, compressed, cookieOffset, unused[14]. */
const HEADER = 92;
const VERSION = 2;
const GZIP = 1;
const PROGRAMS = ['', 'gzip -dc', 'bzip2 -dc', 'xz -dc', 'lzop -dc', 'zstd -dc'];
const MAX_XML = 16 * 1024 * 1024;

/** Reads libvirt's header; undefined where there is none. Its numbers are in the host's byte order. */
export function libvirtSave(source: ByteSource): LibvirtSave | undefined {
  const head = readUpTo(source, 0, HEADER);
  const partial = matches(head, 0, bytesOf(PARTIAL));
  if (head.length < HEADER || (!partial && !matches(head, 0, bytesOf(MAGIC)))) return undefined;
  const view = viewOf(head);
  const little = view.getUint32(16, true) <= VERSION;
  const length = view.getUint32(20, little);
  const format = view.getUint32(28, little);
  const streamAt = HEADER + length;
  const xml = new TextDecoder().decode(readUpTo(source, HEADER, Math.min(length, MAX_XML)));
  return {
    name: /<name>([^<]{1,256})<\/name>/.exec(xml)?.[1],
    streamAt,
    gzip: format === GZIP && !partial,
    unreadable: ({ name }) => {
      const program = PROGRAMS[format] ?? '';
      const what = partial
        ? 'libvirt did not finish writing it'
        : 'its stream is compressed, or longer than 1 GiB without that';
      return new ExhumeError(
        'EXH_UNSUPPORTED_FORMAT',
        `${name}: exhume cannot read this saved state of libvirt: ${what}`,
        {
          file: name,
          offset: streamAt,
          format: 'libvirt saved state, compressed or not finished',
          hint:
            program === '' || partial
              ? 'save the domain again'
              : `unpack the stream, and open that: tail -c +${streamAt + 1} FILE | ${program} > STREAM`,
        },
      );
    },
  };
}
