import { spawn } from 'node:child_process';

/**
 * Tells systemd how the service is doing (sd_notify(3)). Its socket takes datagrams, which Node cannot send to a Unix
 * socket: `systemd-notify`, which every systemd brings along, does it. It is another process than the service's main one, so
 * the unit needs `NotifyAccess=all`. Without NOTIFY_SOCKET nothing happens.
 */
export class SystemdNotifier {
  private last: Promise<void> = Promise.resolve();
  private waiting = 0;
  private failed = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly environment: Readonly<Record<string, string | undefined>>,
    private readonly failure: (error: string) => void,
  ) {}

  /** The service is ready, again after `reloading`. */
  ready(guests: number): Promise<void> {
    this.guard();
    return this.send('READY=1', `STATUS=serving ${guests} guests`);
  }

  reloading(): Promise<void> {
    return this.send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  stopping(): Promise<void> {
    clearInterval(this.timer);
    return this.send('STOPPING=1');
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
    const { NOTIFY_SOCKET: socket, PATH } = this.environment;
    if (!socket) return Promise.resolve();
    this.waiting++;
    this.last = this.last.then(async () => {
      const problem = await notify(variables, { NOTIFY_SOCKET: socket, PATH });
      this.waiting--;
      if (problem !== undefined && !this.failed) this.failure(problem);
      this.failed = problem !== undefined;
    });
    return this.last;
  }
}

/** Answers what went wrong. */
function notify(variables: readonly string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn('systemd-notify', variables, { stdio: 'ignore', env });
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (status) => resolve(status === 0 ? undefined : `systemd-notify: exit status ${status}`));
  });
}
