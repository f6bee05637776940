import { isExhumeError } from '../bytes/errors.js';
import { structTable, u8, u16, u32, viewOf } from '../bytes/struct-table.js';
import type { GuestMemory } from './guest-memory.js';
import { Lease } from './lease.js';
import { CONFIG_SIZE, PciConfig, type PciLayout, type Window } from './pci-config.js';
import { type QueueHost, ServedQueue } from './served-queue.js';
import type { VirtioDevice } from './virtio-device.js';

/**
 * A modern virtio function on PCI: its configuration space and its one BAR (Virtual I/O Device 1.2, section 4.1.4).
 *
 * Reading and writing registers never waits for guest memory: a request is answered in its own time, and a reset is
 * complete (the status reads 0) when no access to memory is under way any more.
 */

const COMMON = structTable('virtio_pci_common_cfg', 56, {
  deviceFeatureSelect: u32(0),
  deviceFeature: u32(4),
  driverFeatureSelect: u32(8),
  driverFeature: u32(12),
  configVector: u16(16),
  queues: u16(18),
  status: u8(20),
  generation: u8(21),
  queueSelect: u16(22),
  queueSize: u16(24),
  queueVector: u16(26),
  queueEnable: u16(28),
  queueNotifyOffset: u16(30),
  descriptorsLow: u32(32),
  descriptorsHigh: u32(36),
  availableLow: u32(40),
  availableHigh: u32(44),
  usedLow: u32(48),
  usedHigh: u32(52),
});
type Register = keyof typeof COMMON.fields;
type QueueAddress = 'descriptorsLow' | 'descriptorsHigh' | 'availableLow' | 'availableHigh' | 'usedLow' | 'usedHigh';

const FEATURES_OK = 8;
const DRIVER_OK = 4;
const NEEDS_RESET = 0x40;
/** Of the upper 32 feature bits the only one on offer: VIRTIO_F_VERSION_1. */
const VERSION_1 = 1;
const NO_VECTOR = 0xffff;
const VECTORS = 3;
const NOTIFY_STEP = 4;

/** BAR 0. The table of vectors is the client's to keep: VFIO traps it. */
const COMMON_WINDOW: Window = { offset: 0, size: COMMON.size };
const ISR_WINDOW: Window = { offset: 0x1000, size: 1 };
const DEVICE_OFFSET = 0x2000;
const NOTIFY_OFFSET = 0x3000;
const BAR_SIZE = 0x8000;

/** What the function needs from what carries it. */
export interface FunctionHost {
  readonly memory: GuestMemory;
  /** Raises an MSI-X vector. */
  interrupt(vector: number): void;
  /** The driver did what none may, or its memory failed: nothing more is done for it until it resets the device. Once per reset. */
  broken(error: Error): void;
}

interface Queue {
  size: number;
  vector: number;
  readonly addresses: Record<QueueAddress, number>;
  running?: ServedQueue;
}

export class VirtioPciFunction {
  /** Sizes of the two regions that it has. */
  static readonly barSize = BAR_SIZE;
  static readonly configSize = CONFIG_SIZE;
  static readonly vectors = VECTORS;

  readonly config: PciConfig;
  private lease: Lease;
  /** Leases that have ended, with accesses still under way. */
  private ending: readonly Lease[] = [];
  private status = 0;
  private lastStatus = 0;
  private isr = 0;
  private deviceFeatureSelect = 0;
  private driverFeatureSelect = 0;
  private driverFeatures: [number, number] = [0, 0];
  private configVector = NO_VECTOR;
  private queueSelect = 0;
  private queues: readonly Queue[];

  constructor(
    private readonly device: VirtioDevice,
    private readonly host: FunctionHost,
  ) {
    const layout: PciLayout = {
      virtioId: device.id,
      barSize: BAR_SIZE,
      common: COMMON_WINDOW,
      isr: ISR_WINDOW,
      device: { offset: DEVICE_OFFSET, size: device.config.length },
      notify: { offset: NOTIFY_OFFSET, size: NOTIFY_STEP * device.queues, multiplier: NOTIFY_STEP },
      vectors: { count: VECTORS, table: 0x4000, pending: 0x4800 },
    };
    this.config = new PciConfig(layout, {
      read: (offset, length) => this.readBar(offset, length),
      write: (offset, bytes) => this.writeBar(offset, bytes),
    });
    this.lease = new Lease(host.memory);
    this.queues = this.newQueues();
  }

  /** Bytes of BAR 0; the range lies inside it. What is no register reads as zeros. */
  readBar(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const show = (at: number, source: Uint8Array) => {
      const from = Math.max(offset, at);
      const to = Math.min(offset + length, at + source.length);
      if (from < to) bytes.set(source.subarray(from - at, to - at), from - offset);
    };
    show(COMMON_WINDOW.offset, this.common());
    show(DEVICE_OFFSET, this.device.config);
    if (offset <= ISR_WINDOW.offset && ISR_WINDOW.offset < offset + length) {
      show(ISR_WINDOW.offset, Uint8Array.of(this.isr));
      this.isr = 0;
    }
    return bytes;
  }

  /** A write to BAR 0. What is no register, or not as wide as the register, is ignored. */
  writeBar(offset: number, bytes: Uint8Array): void {
    const view = viewOf(bytes);
    if (offset >= NOTIFY_OFFSET && offset < NOTIFY_OFFSET + NOTIFY_STEP * this.queues.length) {
      const queue = this.queues[(offset - NOTIFY_OFFSET) / NOTIFY_STEP];
      if (queue) this.notify(queue);
      return;
    }
    if (offset >= 32 && offset + 8 <= COMMON.size && bytes.length === 8) {
      this.writeBar(offset, bytes.subarray(0, 4));
      this.writeBar(offset + 4, bytes.subarray(4));
      return;
    }
    for (const [name, field] of Object.entries(COMMON.fields)) {
      if (field.offset !== offset || field.size !== bytes.length) continue;
      this.set(name as Register, field.read(view, 0, true));
    }
  }

  /** As at power on. */
  reset(): void {
    this.config.reset();
    this.resetDevice();
  }

  /** The machine is gone. */
  close(): void {
    this.lease.end();
    this.device.reset();
  }

  private common(): Uint8Array {
    const bytes = new Uint8Array(COMMON.size);
    const queue = this.queues[this.queueSelect];
    COMMON.write(viewOf(bytes), 0, {
      deviceFeatureSelect: this.deviceFeatureSelect,
      deviceFeature: this.deviceFeatureSelect === 1 ? VERSION_1 : 0,
      driverFeatureSelect: this.driverFeatureSelect,
      driverFeature: this.driverFeatures[this.driverFeatureSelect] ?? 0,
      configVector: this.configVector,
      queues: this.queues.length,
      status: this.status === 0 && this.ending.some(({ busy }) => busy) ? this.lastStatus : this.status,
      generation: 0,
      queueSelect: this.queueSelect,
      queueSize: queue?.size ?? 0,
      queueVector: queue?.vector ?? NO_VECTOR,
      queueEnable: queue?.running ? 1 : 0,
      queueNotifyOffset: queue ? this.queueSelect : 0,
      ...(queue?.addresses ?? newAddresses()),
    });
    return bytes;
  }

  private set(register: Register, value: number): void {
    const queue = this.queues[this.queueSelect];
    switch (register) {
      case 'deviceFeatureSelect':
        this.deviceFeatureSelect = value;
        break;
      case 'driverFeatureSelect':
        this.driverFeatureSelect = value;
        break;
      case 'driverFeature':
        if (this.driverFeatureSelect <= 1 && (this.status & FEATURES_OK) === 0) {
          this.driverFeatures[this.driverFeatureSelect] = value;
        }
        break;
      case 'configVector':
        this.configVector = value < VECTORS ? value : NO_VECTOR;
        break;
      case 'status':
        this.setStatus(value);
        break;
      case 'queueSelect':
        this.queueSelect = value;
        break;
      case 'queueVector':
        if (queue) queue.vector = value < VECTORS ? value : NO_VECTOR;
        break;
      case 'queueSize':
        if (queue && !queue.running && value <= this.device.queueSize && isPowerOfTwo(value)) queue.size = value;
        break;
      case 'queueEnable':
        if (queue && !queue.running && value === 1) this.enable(queue);
        break;
      case 'descriptorsLow':
      case 'descriptorsHigh':
      case 'availableLow':
      case 'availableHigh':
      case 'usedLow':
      case 'usedHigh':
        if (queue && !queue.running) queue.addresses[register] = value;
        break;
      default: // The rest is read only.
    }
  }

  private setStatus(value: number): void {
    if (value === 0) {
      this.resetDevice();
      return;
    }
    const [low, high] = this.driverFeatures;
    if (low !== 0 || high !== VERSION_1) value &= ~FEATURES_OK;
    // Bits stay set until a reset, and the last but one is ours alone.
    this.status |= value & ~NEEDS_RESET;
    if (value & DRIVER_OK) for (const queue of this.queues) this.notify(queue);
  }

  private resetDevice(): void {
    this.lease.end();
    this.ending = [...this.ending, this.lease].filter(({ busy }) => busy);
    this.lastStatus = this.status || this.lastStatus;
    this.lease = new Lease(this.host.memory);
    this.status = 0;
    this.isr = 0;
    this.deviceFeatureSelect = 0;
    this.driverFeatureSelect = 0;
    this.driverFeatures = [0, 0];
    this.configVector = NO_VECTOR;
    this.queueSelect = 0;
    this.queues = this.newQueues();
    this.device.reset();
  }

  private newQueues(): Queue[] {
    return Array.from({ length: this.device.queues }, () => ({
      size: this.device.queueSize,
      vector: NO_VECTOR,
      addresses: newAddresses(),
    }));
  }

  private enable(queue: Queue): void {
    const at = queue.addresses;
    const addresses = {
      descriptors: at.descriptorsHigh * 2 ** 32 + at.descriptorsLow,
      available: at.availableHigh * 2 ** 32 + at.availableLow,
      used: at.usedHigh * 2 ** 32 + at.usedLow,
    };
    const host: QueueHost = { interrupt: () => this.raise(1, queue.vector), failed: (error) => this.fail(error) };
    try {
      queue.running = new ServedQueue(this.device, this.lease, host, { size: queue.size, addresses });
    } catch (error) {
      if (!isExhumeError(error, 'EXH_DEVICE_RING')) throw error;
      this.fail(error);
    }
  }

  private notify(queue: Queue): void {
    if ((this.status & (DRIVER_OK | NEEDS_RESET)) === DRIVER_OK) queue.running?.notify();
  }

  private fail(error: Error): void {
    if (this.status & NEEDS_RESET) return;
    this.lease.end();
    this.status |= NEEDS_RESET;
    this.host.broken(error);
    if (this.status & DRIVER_OK) this.raise(2, this.configVector);
  }

  private raise(cause: number, vector: number): void {
    this.isr |= cause;
    if (vector !== NO_VECTOR) this.host.interrupt(vector);
  }
}

function newAddresses(): Record<QueueAddress, number> {
  return { descriptorsLow: 0, descriptorsHigh: 0, availableLow: 0, availableHigh: 0, usedLow: 0, usedHigh: 0 };
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
