import { size64, structTable, u16, u32 } from '../../bytes/struct-table.js';

/**
 * vfio-user, version 0.0 (docs/interop/vfio-user.rst of QEMU; linux/vfio.h for the structures that it borrows): numbers
 * in the byte order of the host. Only little-endian hosts are served.
 */

export const HEADER = structTable('vfio-user header', 16, {
  id: u16(0),
  command: u16(2),
  /** Of the whole message, this header included. */
  size: u32(4),
  flags: u32(8),
  errno: u32(12),
});

export const REPLY = 1;
export const TYPE_MASK = 0xf;
export const NO_REPLY = 0x10;
export const ERROR = 0x20;

export const COMMAND = {
  version: 1,
  dmaMap: 2,
  dmaUnmap: 3,
  getInfo: 4,
  getRegionInfo: 5,
  getIrqInfo: 7,
  setIrqs: 8,
  regionRead: 9,
  regionWrite: 10,
  dmaRead: 11,
  dmaWrite: 12,
  reset: 13,
} as const;

/** Before the capabilities, which are JSON that ends with a zero byte. */
export const VERSION = structTable('vfio-user version', 4, { major: u16(0), minor: u16(2) });
export const DMA_MAP = structTable('vfio_user_dma_map', 32, {
  argumentSize: u32(0),
  flags: u32(4),
  /** In the file that is passed along, if one is. */
  offset: size64(8),
  address: size64(16),
  size: size64(24),
});
export const DMA_UNMAP = structTable('vfio_user_dma_unmap', 24, {
  argumentSize: u32(0),
  flags: u32(4),
  address: size64(8),
  size: size64(16),
});
export const DEVICE_INFO = structTable('vfio_device_info', 16, {
  argumentSize: u32(0),
  flags: u32(4),
  regions: u32(8),
  irqs: u32(12),
});
export const REGION_INFO = structTable('vfio_region_info', 32, {
  argumentSize: u32(0),
  flags: u32(4),
  index: u32(8),
  capabilities: u32(12),
  size: size64(16),
  offset: size64(24),
});
export const IRQ_INFO = structTable('vfio_irq_info', 16, {
  argumentSize: u32(0),
  flags: u32(4),
  index: u32(8),
  count: u32(12),
});
export const IRQ_SET = structTable('vfio_irq_set', 20, {
  argumentSize: u32(0),
  flags: u32(4),
  index: u32(8),
  start: u32(12),
  count: u32(16),
});
export const REGION_ACCESS = structTable('vfio_user_region_access', 16, {
  offset: size64(0),
  region: u32(8),
  count: u32(12),
});
export const DMA_ACCESS = structTable('vfio_user_dma_access', 16, { address: size64(0), count: size64(8) });

export const DMA_READABLE = 1;
export const DMA_WRITABLE = 2;
export const UNMAP_ALL = 2;

export const DEVICE_RESETS = 1;
export const DEVICE_PCI = 2;
export const REGION_READABLE = 1;
export const REGION_WRITABLE = 2;
export const IRQ_EVENTFD = 1;
/** Of a request to set interrupts: what raises them, as opposed to what holds them back. */
export const IRQ_TRIGGER = 0x20;

/** Indexes that PCI functions have. */
export const REGIONS = 9;
export const BAR0 = 0;
export const CONFIG = 7;
export const IRQS = 5;
export const MSIX = 2;
export const ERR = 3;

/** The most data that one message carries, unless the other end says less. */
export const MOST_DATA = 1 << 20;
/** The longest message: the data, its header, and room for what stands between. */
export const MOST_MESSAGE = MOST_DATA + 4096;

/**
 * The most guest memory to ask for at once. QEMU gives the connection up when the socket takes only a part of its answer
 * (vfio_user_send_qio in hw/vfio-user/proxy.c, 11.1.2). Up to 36 KiB are one buffer of a Unix socket, and go whole or not at all
 * (unix_stream_sendmsg in net/unix/af_unix.c).
 */
export const MOST_ASKED = 32 << 10;

/** As Linux numbers errors. */
export const ENOENT = 2;
export const EEXIST = 17;
export const EINVAL = 22;
export const ENOSPC = 28;
export const ENOTSUP = 95;
