import { createConnection, type Socket } from 'node:net';
import { ExhumeError, messageOf } from '../../bytes/errors.js';
import { within } from '../patience.js';

/** How long a machine may take to stop, in milliseconds. */
const PATIENCE = 5000;
/** A longer line than any that matters here. */
const LONGEST_LINE = 1 << 20;

/** A machine that was stopped. */
export interface PausedMachine {
  /** True: it was told to go on. False: its monitor has gone. */
  readonly resumed: Promise<boolean>;
}

/** Stops a machine by its QMP monitor (docs/interop/qmp-spec of QEMU), and watches when it goes on. Rejects with EXH_IO. */
export async function pauseMachine(path: string, patience = PATIENCE): Promise<PausedMachine> {
  const monitor = new Monitor(path);
  try {
    if ((await within(monitor.stop(), patience, 'late')) === 'late') throw new Error('no answer');
  } catch (error) {
    monitor.socket.destroy();
    const why = messageOf(error);
    throw new ExhumeError('EXH_IO', `${path}: the machine cannot be stopped: ${why}`, { file: path }, { cause: error });
  }
  return { resumed: monitor.resumed };
}

type Reply = Readonly<Record<string, unknown>>;

class Monitor {
  readonly socket: Socket;
  readonly resumed: Promise<boolean>;
  private unread = '';
  private expected: { resolve(reply: Reply): void; reject(error: Error): void } | undefined;
  private readonly replies: Reply[] = [];
  private failure: Error | undefined;
  private stopped = false;
  private resume: (resumed: boolean) => void = () => {};

  constructor(path: string) {
    this.resumed = new Promise((resolve) => {
      this.resume = resolve;
    });
    this.socket = createConnection(path);
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => this.take(text));
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('the connection ended')));
  }

  async stop(): Promise<void> {
    if (!('QMP' in (await this.next()))) throw new Error('it is no QMP monitor');
    await this.execute('qmp_capabilities');
    await this.execute('stop');
    // A machine that stood already tells of no stop.
    this.stopped = true;
    // To wait for it keeps nobody from ending.
    this.socket.unref();
  }

  private async execute(command: string): Promise<void> {
    this.socket.write(`${JSON.stringify({ execute: command })}\n`);
    const reply = await this.next();
    if (!('return' in reply)) throw new Error(`${command}: ${JSON.stringify(reply)}`);
  }

  private next(): Promise<Reply> {
    const reply = this.replies.shift();
    if (reply !== undefined) return Promise.resolve(reply);
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.expected = { resolve, reject };
    });
  }

  private take(text: string): void {
    const lines = (this.unread + text).split('\n');
    this.unread = lines.pop() ?? '';
    if (this.unread.length > LONGEST_LINE) this.socket.destroy(new Error('a line without an end'));
    for (const line of lines) this.receive(line);
  }

  private receive(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.socket.destroy(new Error('what came is no JSON'));
      return;
    }
    if (typeof message !== 'object' || message === null) return;
    const reply = message as Reply;
    if ('event' in reply) {
      // Only the end of this stop counts: the machine may have been stopped and started before.
      if (reply['event'] === 'STOP') this.stopped = true;
      if (reply['event'] === 'RESUME' && this.stopped) {
        this.resume(true);
        this.socket.destroy();
      }
    } else if (this.expected) {
      this.expected.resolve(reply);
      this.expected = undefined;
    } else if (this.replies.length < 1) {
      this.replies.push(reply);
    }
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.expected?.reject(this.failure);
    this.expected = undefined;
    this.resume(false);
  }
}
