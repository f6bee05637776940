import { closeSync } from 'node:fs';

/** Descriptors that came with a message. Those that nobody takes are closed when it has been answered. */
export class Descriptors {
  private readonly left: number[];

  constructor(descriptors: readonly number[] = []) {
    this.left = [...descriptors];
  }

  get count(): number {
    return this.left.length;
  }

  /** The first of those that are left: who takes it closes it. */
  take(): number | undefined {
    return this.left.shift();
  }

  close(): void {
    closeAll(this.left.splice(0));
  }
}

export function closeAll(descriptors: Iterable<number>): void {
  for (const descriptor of descriptors) closeSync(descriptor);
}
