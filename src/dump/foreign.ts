import { type ByteSource, readUpTo } from '../bytes/byte-source.js';
import { ExhumeError } from '../bytes/errors.js';
import { bytesOf, matches } from '../bytes/search.js';

/** Formats that exhume knows by sight and does not read, with what to do about them. */
interface Foreign {
  readonly format: string;
  /** File offset of the signature, in bytes. */
  readonly offset: number;
  readonly signature: Uint8Array;
  readonly hint: string;
}

const DUMP_AGAIN =
  'load it in QEMU and take a dump of the guest: dump-guest-memory FILE, or virsh dump --memory-only DOMAIN FILE';
const RAW_PARTS = 'its memory is uncompressed: open it as raw, with a map of its ranges and their file offsets';

function ascii(format: string, offset: number, signature: string, hint: string): Foreign {
  return { format, offset, signature: bytesOf(signature), hint };
}

function binary(format: string, offset: number, signature: readonly number[], hint: string): Foreign {
  return { format, offset, signature: Uint8Array.from(signature), hint };
}

function unpack(format: string, offset: number, signature: readonly number[], command: string): Foreign {
  return binary(format, offset, signature, `unpack it first: ${command}`);
}

/** A 64-bit magic number in both byte orders. */
function eitherOrder(format: string, magic: bigint, hint: string): Foreign[] {
  const bytes = Array.from({ length: 8 }, (_, i) => Number((magic >> BigInt(8 * i)) & 0xffn));
  return [binary(format, 0, bytes, hint), binary(format, 0, bytes.toReversed(), hint)];
}

const VMWARE = 'use vmss2core of VMware Workstation to make a core of it, or open the .vmem file beside it as raw';
const WINDOWS = 'it is a dump of Windows: use WinDbg or Volatility';
const SADUMP = 'use makedumpfile to make a kdump of it: makedumpfile -l -d 1 FILE OUT';
const XEN = 'restore the guest and take the dump inside it, with kdump';

/** Sources: QEMU migration/savevm.c, libvirt qemu_saveimage.h, LKCD dump.h, crash's headers, LiME, AVML, file(1). */
const KNOWN: readonly Foreign[] = [
  ascii('QEMU saved state or migration stream', 0, 'QEVM', DUMP_AGAIN),
  ascii('libvirt saved state', 0, 'LibvirtQemudSave', DUMP_AGAIN),
  ascii('libvirt saved state, not finished', 0, 'LibvirtQemudPart', DUMP_AGAIN),
  ...eitherOrder('LKCD dump', 0xa8190173618f23edn, 'use crash 7 or 8, which still read it'),
  ...eitherOrder('LKCD live dump', 0xa8190173618f23cdn, 'use crash 7 or 8, which still read it'),
  ...eitherOrder(
    's390 dump',
    0xa8190173618f23fdn,
    'use zgetdump to make an ELF core of it: zgetdump --fmt elf FILE > OUT',
  ),
  ...eitherOrder(
    's390 dump, extended',
    0xa8190173618f23fen,
    'use zgetdump to make an ELF core of it: zgetdump --fmt elf FILE > OUT',
  ),
  binary('VMware saved state', 0, [0xd0, 0xbe, 0xd2, 0xbe], VMWARE),
  binary('VMware saved state', 0, [0xd1, 0xba, 0xd1, 0xba], VMWARE),
  binary('VMware saved state', 0, [0xd2, 0xbe, 0xd2, 0xbe], VMWARE),
  binary('VMware saved state', 0, [0xd3, 0xbe, 0xd3, 0xbe], VMWARE),
  binary('Hyper-V saved state', 0, [0x14, 0x20, 0x28, 0x01], 'use vm2dmp, or dump the guest from inside with kdump'),
  ascii('sadump dump', 0, 'sadump\0\0', SADUMP),
  ascii('sadump dump', 4096, 'sadump\0\0', SADUMP),
  ascii('Windows crash dump, 32-bit', 0, 'PAGEDUMP', WINDOWS),
  ascii('Windows crash dump, 64-bit', 0, 'PAGEDU64', WINDOWS),
  ascii('Windows minidump', 0, 'MDMP', WINDOWS),
  ascii('Xen saved domain', 0, 'XenSavedDomain', XEN),
  ascii('Xen saved domain', 0, 'LinuxGuestRecord', XEN),
  binary('Xen core of the old form', 0, [0xed, 0xeb, 0x0f, 0xf0], XEN),
  binary('Xen core of the old form', 0, [0xf0, 0x0f, 0xeb, 0xed], XEN),
  ascii('LiME dump', 0, 'EMiL', RAW_PARTS),
  ascii('AVML dump', 0, 'AVML', 'use avml-convert to make a raw image of it: avml-convert --format raw FILE OUT'),
  ascii('Linux kernel image', 0x202, 'HdrS', 'name the memory dump instead: exhume needs no kernel image'),
  binary('qcow2 disk image', 0, [0x51, 0x46, 0x49, 0xfb], DUMP_AGAIN),
  ascii('VMDK disk image', 0, 'KDMV', 'it is a disk: name the .vmss, .vmsn or .vmem file to be told more'),
  ascii('VHDX disk image', 0, 'vhdxfile', 'it is a disk, not memory'),
  unpack('zstd-compressed file', 0, [0x28, 0xb5, 0x2f, 0xfd], 'zstd -d FILE'),
  unpack('gzip-compressed file', 0, [0x1f, 0x8b], 'gzip -d FILE'),
  unpack('xz-compressed file', 0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], 'xz -d FILE'),
  unpack('bzip2-compressed file', 0, [0x42, 0x5a, 0x68], 'bzip2 -d FILE'),
  unpack('lz4-compressed file', 0, [0x04, 0x22, 0x4d, 0x18], 'lz4 -d FILE'),
  unpack('lzop-compressed file', 0, [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a], 'lzop -d FILE'),
  unpack('zip archive', 0, [0x50, 0x4b, 0x03, 0x04], 'unzip FILE'),
  unpack('7z archive', 0, [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], '7z x FILE'),
  unpack('tar archive', 257, [0x75, 0x73, 0x74, 0x61, 0x72], 'tar -xf FILE'),
  ascii('swap space with a hibernation image', 4086, 'S1SUSPEND', 'let the machine resume from it, and dump it then'),
];

/**
 * The error for a file whose format is known and not readable; undefined for any other file.
 * @param head the first bytes of the file
 */
export function unreadable(source: ByteSource, head: Uint8Array): ExhumeError | undefined {
  const found = KNOWN.find(({ offset, signature }) => {
    const bytes = offset + signature.length <= head.length ? head : readUpTo(source, 0, offset + signature.length);
    return matches(bytes, offset, signature);
  });
  if (found === undefined) return undefined;
  return new ExhumeError('EXH_UNSUPPORTED_FORMAT', `${source.name}: exhume cannot read this format: ${found.format}`, {
    file: source.name,
    offset: found.offset,
    format: found.format,
    hint: found.hint,
  });
}
