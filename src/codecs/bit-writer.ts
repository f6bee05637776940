import { output, outputView } from './workbench.js';

/**
 * Bits into {@link output}, the lowest of each byte first. For what is written now and then: loops over a page keep
 * these fields in variables of their own.
 */
export class BitWriter {
  /** Where the next byte goes. */
  at = 0;
  /** Bits that do not make a byte yet. */
  buffer = 0;
  /** How many they are, 0 to 7. */
  held = 0;

  begin(at: number): void {
    this.at = at;
    this.buffer = 0;
    this.held = 0;
  }

  /** At most 24 bits. */
  put(value: number, bits: number): void {
    const buffer = this.buffer | (value << this.held);
    const held = this.held + bits;
    outputView.setInt32(this.at, buffer, true);
    this.at += held >> 3;
    this.buffer = buffer >>> (held & 24);
    this.held = held & 7;
  }

  /** Fills up the last byte with zeros; gives the offset behind it. */
  end(): number {
    if (this.held > 0) output[this.at++] = this.buffer;
    return this.at;
  }

  /** As {@link end}, with a bit that is set where the bits end: for streams that are read from their end. */
  endMarked(): number {
    this.put(1, 1);
    return this.end();
  }
}
