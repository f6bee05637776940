import { array, structTable, u8, u16, u32, viewOf } from '../bytes/struct-table.js';

/**
 * The configuration space of a modern virtio PCI function (PCI Local Bus 3.0, section 6.1; Virtual I/O Device 1.2,
 * section 4.1): header and capabilities, 256 bytes, little-endian.
 */
export const CONFIG_SIZE = 256;

const VENDOR_VIRTIO = 0x1af4;
/** Numbers of modern virtio functions begin here. */
const FIRST_MODERN_DEVICE = 0x1040;

const HEADER = structTable('pci header', 64, {
  vendor: u16(0x00),
  device: u16(0x02),
  command: u16(0x04),
  status: u16(0x06),
  revision: u8(0x08),
  /** Programming interface, subclass, base class. */
  classCode: array(u8, 0x09, 3),
  cacheLineSize: u8(0x0c),
  latency: u8(0x0d),
  headerType: u8(0x0e),
  selfTest: u8(0x0f),
  bars: array(u32, 0x10, 6),
  cardBus: u32(0x28),
  subsystemVendor: u16(0x2c),
  subsystem: u16(0x2e),
  rom: u32(0x30),
  capabilities: u8(0x34),
  interruptLine: u8(0x3c),
  interruptPin: u8(0x3d),
});
const VIRTIO_CAPABILITY = structTable('virtio_pci_cap', 20, {
  id: u8(0),
  next: u8(1),
  length: u8(2),
  kind: u8(3),
  bar: u8(4),
  index: u8(5),
  offset: u32(8),
  size: u32(12),
  /** Of the notify capability: its multiplier. Of the window into a BAR: the data that is moved. */
  extra: u32(16),
});
const MSIX_CAPABILITY = structTable('msix capability', 12, {
  id: u8(0),
  next: u8(1),
  control: u16(2),
  table: u32(4),
  pending: u32(8),
});

/** Where the capabilities stand: that of MSI-X, then virtio's own. */
const MSIX_AT = HEADER.size;
const VIRTIO_AT = MSIX_AT + MSIX_CAPABILITY.size;

/** The last of them, by which a driver reaches the BAR without mapping it (section 4.1.4.9), and its data. */
const WINDOW_KIND = 5;
const WINDOW_AT = VIRTIO_AT + 4 * VIRTIO_CAPABILITY.size;
const DATA_AT = WINDOW_AT + VIRTIO_CAPABILITY.fields.extra.offset;

/** Of the command register a driver sets: memory, bus master, parity, SERR, no INTx. There are no I/O ports. */
const COMMAND_BITS = 0x0546;
const STATUS_CAPABILITIES = 0x10;
const CLASS_OTHER = 0xff;
const CAPABILITY_VENDOR = 9;
const CAPABILITY_MSIX = 0x11;
/** Of the message control register: enable, mask all. */
const MSIX_BITS = 0xc000;

/** A window of BAR 0. */
export interface Window {
  readonly offset: number;
  readonly size: number;
}

export interface PciLayout {
  /** The device's number in the virtio specification. */
  readonly virtioId: number;
  /** Size of BAR 0: a power of two. */
  readonly barSize: number;
  readonly common: Window;
  readonly notify: Window & { readonly multiplier: number };
  readonly isr: Window;
  readonly device: Window;
  readonly vectors: { readonly count: number; readonly table: number; readonly pending: number };
}

/** BAR 0, as the window in the configuration space reaches it. */
export interface Bar {
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
}

/** The bytes, and which of their bits a driver may change. */
export class PciConfig {
  private readonly bytes = new Uint8Array(CONFIG_SIZE);
  private readonly writable = new Uint8Array(CONFIG_SIZE);

  constructor(
    private readonly layout: PciLayout,
    private readonly bar: Bar,
  ) {
    this.reset();
    const mask = viewOf(this.writable);
    mask.setUint16(HEADER.fields.command.offset, COMMAND_BITS, true);
    mask.setUint8(HEADER.fields.cacheLineSize.offset, 0xff);
    mask.setUint8(HEADER.fields.interruptLine.offset, 0xff);
    mask.setUint32(HEADER.fields.bars.offset, -layout.barSize >>> 0, true);
    mask.setUint16(MSIX_AT + MSIX_CAPABILITY.fields.control.offset, MSIX_BITS, true);
    VIRTIO_CAPABILITY.write(mask, WINDOW_AT, { bar: 0xff, offset: 0xffffffff, size: 0xffffffff, extra: 0xffffffff });
  }

  /** Everything as at power on. */
  reset(): void {
    const view = viewOf(this.bytes);
    const { virtioId, common, notify, isr, device, vectors } = this.layout;
    HEADER.write(view, 0, {
      vendor: VENDOR_VIRTIO,
      device: FIRST_MODERN_DEVICE + virtioId,
      command: 0,
      status: STATUS_CAPABILITIES,
      revision: 1,
      classCode: [0, 0, CLASS_OTHER],
      cacheLineSize: 0,
      latency: 0,
      headerType: 0,
      selfTest: 0,
      bars: [0, 0, 0, 0, 0, 0],
      cardBus: 0,
      subsystemVendor: VENDOR_VIRTIO,
      subsystem: FIRST_MODERN_DEVICE + virtioId,
      rom: 0,
      capabilities: MSIX_AT,
      interruptLine: 0,
      interruptPin: 0,
    });
    MSIX_CAPABILITY.write(view, MSIX_AT, {
      id: CAPABILITY_MSIX,
      next: VIRTIO_AT,
      control: vectors.count - 1,
      table: vectors.table,
      pending: vectors.pending,
    });
    const windows = [
      { kind: 1, ...common },
      { kind: 2, ...notify },
      { kind: 3, ...isr },
      { kind: 4, ...device },
      { kind: WINDOW_KIND, offset: 0, size: 0 },
    ];
    windows.forEach((window, index) => {
      const at = VIRTIO_AT + index * VIRTIO_CAPABILITY.size;
      VIRTIO_CAPABILITY.write(view, at, {
        id: CAPABILITY_VENDOR,
        next: index + 1 < windows.length ? at + VIRTIO_CAPABILITY.size : 0,
        length: VIRTIO_CAPABILITY.size - (window.kind === 2 || window.kind === WINDOW_KIND ? 0 : 4),
        kind: window.kind,
        bar: 0,
        index: 0,
        offset: window.offset,
        size: window.size,
        extra: window.kind === 2 ? notify.multiplier : 0,
      });
    });
  }

  /** Bytes of it; those of the window's data are read out of the BAR now. */
  read(offset: number, length: number): Uint8Array {
    const target = touchesData(offset, length) ? this.target() : undefined;
    if (target) this.bytes.set(this.bar.read(target.offset, target.size), DATA_AT);
    return this.bytes.slice(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array): void {
    bytes.forEach((byte, index) => {
      const mask = this.writable[offset + index] ?? 0;
      const old = this.bytes[offset + index] ?? 0;
      this.bytes[offset + index] = (old & ~mask) | (byte & mask);
    });
    const target = touchesData(offset, bytes.length) ? this.target() : undefined;
    if (target) this.bar.write(target.offset, this.bytes.slice(DATA_AT, DATA_AT + target.size));
  }

  /** What of the BAR the driver has put the window on, if that can be. */
  private target(): Window | undefined {
    const { bar, offset, size } = VIRTIO_CAPABILITY.read(viewOf(this.bytes), WINDOW_AT);
    const fits = bar === 0 && [1, 2, 4].includes(size) && offset % size === 0 && offset + size <= this.layout.barSize;
    return fits ? { offset, size } : undefined;
  }
}

function touchesData(offset: number, length: number): boolean {
  return offset < DATA_AT + 4 && offset + length > DATA_AT;
}
