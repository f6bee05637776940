import { closeAll, type Descriptors } from '../descriptors.js';
import { isEvent, type Native, signal } from '../native/native.js';

/** The counters that raise a function's MSI-X vectors. */
export class Interrupts {
  private readonly events = new Map<number, number>();
  private told = false;

  /** `silent`: a vector was to be raised and could not be. Once. */
  constructor(
    private readonly native: Native | undefined,
    private readonly silent: () => void,
  ) {}

  /**
   * Vectors from `start` on get the counters that came, those without one none; no vectors at all: none has one any
   * longer (VFIO_DEVICE_SET_IRQS of linux/vfio.h).
   */
  set(start: number, count: number, came: Descriptors): void {
    const all = count === 0;
    for (const vector of [...this.events.keys()]) {
      if (all || (vector >= start && vector < start + count)) this.forget(vector);
    }
    for (let vector = start; vector < start + count; vector++) {
      const event = came.take();
      if (event === undefined) return;
      if (isEvent(event)) this.events.set(vector, event);
      else closeAll([event]);
    }
  }

  raise(vector: number): void {
    const event = this.events.get(vector);
    if (event !== undefined && this.native) signal(this.native, event);
    else if (!this.told) {
      this.told = true;
      this.silent();
    }
  }

  close(): void {
    for (const vector of [...this.events.keys()]) this.forget(vector);
  }

  private forget(vector: number): void {
    const event = this.events.get(vector);
    this.events.delete(vector);
    if (event !== undefined) closeAll([event]);
  }
}
