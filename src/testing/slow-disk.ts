/** A disk that hangs when it is told to: for those who flush files in a thread or process of their own. */
export class SlowDisk {
  /** 1: it hangs. */
  readonly gate = new Int32Array(new SharedArrayBuffer(4));

  hang(): void {
    Atomics.store(this.gate, 0, 1);
  }

  /** What was waiting goes on. */
  goOn(): void {
    Atomics.store(this.gate, 0, 0);
    Atomics.notify(this.gate, 0);
  }

  /** A program for a worker thread: hangs with the disk whenever it flushes a file, else is the module. Its workerData has `gate`. */
  static program(module: string): string {
    return `
      const fs = require('node:fs');
      const { gate } = require('node:worker_threads').workerData;
      const flush = fs.fsyncSync;
      fs.fsyncSync = (file) => {
        Atomics.wait(gate, 0, 1);
        flush(file);
      };
      require('node:module').syncBuiltinESMExports();
      void import(${JSON.stringify(module)});
    `;
  }
}

/** A program that is run before a process's own, in each of its threads: it hangs with the disk as long as the file HANGS is there. */
export const HANGING = `
  const fs = require('node:fs');
  const flush = fs.fsyncSync;
  fs.fsyncSync = (file) => {
    const nothing = new Int32Array(new SharedArrayBuffer(4));
    while (fs.existsSync(process.env.HANGS)) Atomics.wait(nothing, 0, 0, 10);
    flush(file);
  };
  require('node:module').syncBuiltinESMExports();
`;
