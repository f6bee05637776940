import type { KernelView } from '../../kernel/kernel-view.js';
import { listEntries } from '../../kernel/types/lists.js';
import type { Struct } from '../../kernel/types/struct.js';
import type { Blanking } from './blanking.js';

const KIND = 'terminals';
/** MAX_NR_CONSOLES. */
const MOST_CONSOLES = 63;
/** No driver has more lines, no terminal more buffers, no console more lines. */
const MOST_LINES = 1 << 20;
const MOST_BUFFERS = 1 << 16;
const MOST_ROWS = 1 << 12;
/** N_TTY: the line discipline that terminals begin with. */
const N_TTY = 0;

/**
 * What was typed or received and not read, what was to be echoed or written, and what consoles show: the buffers of
 * every terminal that a driver lists or that is open, and of its other end; include/linux/tty.h, tty_buffer.h,
 * console_struct.h.
 */
export function scrubTerminals(blanking: Blanking, files: readonly Struct[]): void {
  const { view } = blanking;
  blanking.count(KIND, 0, 0);
  const found = new Terminals(blanking);
  for (const file of files) {
    blanking.attempt(KIND, () => {
      const own = file.pointer('private_data');
      if (own !== 0n) found.terminal(view.struct('tty_file_private', own).follow('tty'));
    });
  }
  blanking.attempt(KIND, () => {
    const type = view.types.requireStruct('tty_driver');
    for (const driver of listEntries(view.memory, view.address('tty_drivers'), type, 'tty_drivers')) {
      blanking.attempt(KIND, () => found.driver(driver));
    }
  });
  if (view.kernel.symbols.address('vc_cons') !== undefined) blanking.attempt(KIND, () => found.consoles());
}

class Terminals {
  private readonly seen = new Set<bigint>();
  private readonly view: KernelView;

  constructor(private readonly blanking: Blanking) {
    this.view = blanking.view;
  }

  driver(driver: Struct): void {
    const lines = Math.min(driver.int('num'), MOST_LINES);
    const [terminals, ports] = [driver.pointer('ttys'), driver.pointer('ports')];
    for (let line = 0; line < lines; line++) {
      const at = BigInt(line * 8);
      const terminal = terminals === 0n ? 0n : this.view.memory.pointer(terminals + at);
      if (terminal !== 0n) this.each(() => this.terminal(this.view.struct('tty_struct', terminal)));
      const port = ports === 0n ? 0n : this.view.memory.pointer(ports + at);
      if (port !== 0n) this.each(() => this.port(this.view.struct('tty_port', port)));
    }
  }

  /** A terminal and the one that it is linked with: the other end of a pseudo-terminal. */
  terminal(first: Struct | undefined): void {
    for (let terminal = first; terminal !== undefined && !this.isSeen(terminal); terminal = terminal.follow('link')) {
      const one = terminal;
      const pending = one.pointer('write_buf');
      if (pending !== 0n) this.each(() => this.blanking.restOfObject(KIND, pending, one.int('write_cnt')));
      this.each(() => this.lineDiscipline(one));
      this.each(() => this.port(one.follow('port')));
      this.each(() => this.serialOutput(one));
    }
  }

  /** The screens of virtual consoles, and what was received for them. */
  consoles(): void {
    const slot = this.view.types.struct('vc')?.size ?? this.view.types.requireStruct('vc_data').size;
    const table = this.view.address('vc_cons');
    for (let number = 0; number < MOST_CONSOLES; number++) {
      const address = this.view.memory.pointer(table + BigInt(number * slot));
      if (address !== 0n) this.each(() => this.console(this.view.struct('vc_data', address)));
    }
  }

  private console(console: Struct): void {
    this.each(() => this.port(console.member('port')));
    const [rows, columns] = [Math.min(console.int('vc_rows'), MOST_ROWS), console.int('vc_cols')];
    const bytes = console.int('vc_screenbuf_size');
    const buffer = (path: string, length: number): void => {
      const address = console.has(path) ? console.pointer(path) : 0n;
      if (address !== 0n) this.each(() => this.blanking.buffer(KIND, address, length));
    };
    buffer('vc_screenbuf', bytes);
    buffer('vc_saved_screen', bytes);
    // Pointers to lines of 32-bit characters.
    const lines = (table: bigint, count: number, length: number): void => {
      for (let row = 0; table !== 0n && row < count; row++) {
        const line = this.view.memory.pointer(table + BigInt(row * 8));
        if (line !== 0n) this.each(() => this.blanking.buffer(KIND, line, length * 4));
      }
    };
    if (console.has('vc_uni_screen')) lines(console.pointer('vc_uni_screen'), rows, columns);
    if (console.has('vc_uni_lines')) lines(console.pointer('vc_uni_lines'), rows, columns);
    if (console.has('vc_saved_uni_lines')) {
      const saved = Math.min(console.int('vc_saved_rows'), MOST_ROWS);
      lines(console.pointer('vc_saved_uni_lines'), saved, console.int('vc_saved_cols'));
    }
  }

  /** The buffers of `n_tty`: what was typed, and what is to be echoed. */
  private lineDiscipline(terminal: Struct): void {
    const operations = terminal.follow('ldisc')?.follow('ops');
    const data = terminal.pointer('disc_data');
    if (operations === undefined || data === 0n || operations.int('num') !== N_TTY) return;
    const discipline = this.view.struct('n_tty_data', data);
    for (const member of ['read_buf', 'echo_buf']) {
      this.blanking.buffer(KIND, discipline.addressOf(member), discipline.type.require(member).size);
    }
  }

  private port(port: Struct | undefined): void {
    if (port === undefined || this.isSeen(port)) return;
    const { pageSize } = this.view.memory.physical;
    this.received(port.pointer('buf.head'));
    this.received(port.pointer('buf.free'));
    if (port.has('xmit_buf')) {
      const page = port.pointer('xmit_buf');
      if (page !== 0n) this.each(() => this.blanking.buffer(KIND, page, pageSize));
    }
  }

  /** A chain of `struct tty_buffer`, the characters in each behind its head; the last may be a part of its port. */
  private received(first: bigint): void {
    const { size } = this.view.types.requireStruct('tty_buffer');
    let count = 0;
    for (let address = first; address !== 0n && count < MOST_BUFFERS; count++) {
      const buffer = this.view.struct('tty_buffer', address);
      const length = buffer.int('size');
      const at = address;
      if (length > 0) this.each(() => this.blanking.restOfObject(KIND, at + BigInt(size), length * 2));
      address = buffer.pointer('next');
    }
  }

  /** The ring of characters to be sent of a serial line: a page, in the line's state until 6.9. */
  private serialOutput(terminal: Struct): void {
    const operations = this.view.kernel.symbols.address('uart_ops');
    const type = this.view.types.struct('uart_state');
    if (type?.field('xmit.buf') === undefined || terminal.pointer('ops') !== operations) return;
    const state = terminal.pointer('driver_data');
    const ring = state === 0n ? 0n : this.view.struct('uart_state', state).pointer('xmit.buf');
    if (ring !== 0n) this.blanking.buffer(KIND, ring, this.view.memory.physical.pageSize);
  }

  private isSeen({ address }: Struct): boolean {
    if (this.seen.has(address)) return true;
    this.seen.add(address);
    return false;
  }

  private each(step: () => void): void {
    this.blanking.attempt(KIND, step);
  }
}
