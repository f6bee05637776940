import { write } from 'node:fs';

/** Bytes that wait for whoever reads the log; further lines are lost. */
const MOST_WAITING = 1 << 20;
const AGAIN = 50;

/**
 * Lines to a file descriptor, written by another thread: a pipe that nobody reads, or a log on a disk that hangs, keeps the
 * service from nothing.
 */
export class LogLines {
  private waiting: string[] = [];
  private bytes = 0;
  private writing: Promise<void> | undefined;
  /** Lines that were lost since the last one that was not. */
  private lost = 0;

  constructor(private readonly descriptor: number) {}

  write(line: string): void {
    if (this.bytes >= MOST_WAITING) {
      this.lost++;
      return;
    }
    if (this.lost > 0) {
      this.push(
        `${JSON.stringify({ time: new Date().toISOString(), level: 'warn', event: 'lost', lines: this.lost })}\n`,
      );
      this.lost = 0;
    }
    this.push(line);
    this.writing ??= this.drain().finally(() => {
      this.writing = undefined;
    });
  }

  private push(line: string): void {
    this.waiting.push(line);
    this.bytes += line.length;
  }

  private async drain(): Promise<void> {
    while (this.waiting.length > 0) {
      let rest = Buffer.from(this.waiting.splice(0).join(''));
      this.bytes = rest.length;
      while (rest.length > 0) {
        const written = await this.some(rest);
        rest = rest.subarray(written);
        this.bytes -= written;
      }
    }
    this.bytes = 0;
  }

  private some(bytes: Buffer): Promise<number> {
    return new Promise((resolve) => {
      write(this.descriptor, bytes, (error, written) => {
        if (error?.code === 'EAGAIN') setTimeout(() => resolve(0), AGAIN);
        // Whoever read has gone: there is nobody to tell.
        else resolve(error ? bytes.length : written);
      });
    });
  }
}
