import { messageOf } from '../../bytes/errors.js';
import { Programs } from './programs.js';

/** What sends datagrams to Unix sockets, which Node cannot do. */
export interface DatagramSender {
  /** Without waiting. Throws an Error. */
  sendTo(path: string, bytes: Uint8Array): void;
}

/** How long `systemd-notify` may take, in milliseconds. */
const PATIENCE = 10_000;

/**
 * Tells systemd how the service is doing (sd_notify(3)). Its socket takes datagrams: koffi sends them, where it is installed;
 * elsewhere `systemd-notify` does, which every systemd brings along. That is another process than the service's main one, so
 * the unit needs `NotifyAccess=all`. Without NOTIFY_SOCKET nothing happens.
 */
export class SystemdNotifier {
  private last: Promise<void> = Promise.resolve();
  private waiting = 0;
  private failed = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly programs = new Programs();

  constructor(
    private readonly environment: Readonly<Record<string, string | undefined>>,
    private readonly failure: (error: string) => void,
    private readonly sender: DatagramSender | undefined,
  ) {}

  /** The service is ready, again after `reloading`. */
  ready(guests: number): Promise<void> {
    this.guard();
    return this.send('READY=1', `STATUS=serving ${guests} guests`);
  }

  reloading(): Promise<void> {
    return this.send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** Nothing is told after this. */
  async stopping(): Promise<void> {
    clearInterval(this.timer);
    await this.send('STOPPING=1');
    await this.programs.end();
  }

  /** With WatchdogSec= in the unit: says that this thread is alive, three times as often as it has to. */
  private guard(): void {
    const { WATCHDOG_USEC: period, WATCHDOG_PID: pid } = this.environment;
    const milliseconds = Number(period) / 3000;
    if (this.timer || !(milliseconds >= 1) || (pid !== undefined && pid !== String(process.pid))) return;
    this.timer = setInterval(() => {
      if (this.waiting === 0) void this.send('WATCHDOG=1');
    }, milliseconds);
    this.timer.unref();
  }

  /** One after the other. Never rejects. */
  private send(...variables: string[]): Promise<void> {
    const { NOTIFY_SOCKET: socket } = this.environment;
    if (!socket) return Promise.resolve();
    this.waiting++;
    this.last = this.last.then(async () => {
      const problem = await (this.sender
        ? this.direct(this.sender, socket, variables)
        : this.byProgram(socket, variables));
      this.waiting--;
      if (problem !== undefined && !this.failed) this.failure(problem);
      this.failed = problem !== undefined;
    });
    return this.last;
  }

  private direct(sender: DatagramSender, socket: string, variables: readonly string[]): string | undefined {
    try {
      sender.sendTo(socket, new TextEncoder().encode(variables.join('\n')));
      return undefined;
    } catch (error) {
      return `${socket}: ${messageOf(error)}`;
    }
  }

  private async byProgram(socket: string, words: readonly string[]): Promise<string | undefined> {
    const environment = { NOTIFY_SOCKET: socket, PATH: this.environment['PATH'] };
    const problem = await this.programs.run({ program: 'systemd-notify', words, environment, patience: PATIENCE });
    return problem === undefined ? undefined : `systemd-notify: ${problem}`;
  }
}
