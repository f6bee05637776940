import { type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { ExhumeError, messageOf } from '../../bytes/errors.js';
import { isGuestName } from '../../pstore/node/store.js';
import { isLogged, type LogEvent, levelOf } from '../log-events.js';
import { loadNative, type Native } from '../native/native.js';
import { type ServedGuest, serveGuest } from '../serve.js';
import { lockStore, type StoreLock } from '../store/lock.js';
import { StoreThread } from '../store/thread.js';
import { Counters } from './counters.js';
import { RecordHook } from './hook.js';
import { MetricsServer, metricsPage } from './metrics.js';
import { PausingRecords } from './pausing-records.js';
import { forGuest, type ServiceSettings, socketsOf } from './settings.js';
import { SystemdNotifier } from './systemd.js';

/** The world outside, as far as the service touches it. */
export interface ServiceHost {
  /** What it is to do; read again for each reload. Rejects with EXH_USAGE, EXH_IO. */
  readonly load: () => Promise<ServiceSettings>;
  /** A line of the log, with its newline. */
  readonly write: (line: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** How long a stop waits for the disk, and then for the commands of `--on-record`, in milliseconds. */
const STOP_PATIENCE = 10_000;
/** A directory is looked through once for all that changes in it at a time. */
const SETTLE = 100;

interface Guest {
  readonly socket: string;
  readonly mode: number;
  readonly served: ServedGuest;
}

/** `exhume device`: serves guests' devices, keeps their records, and can be reloaded and stopped. */
export class DeviceService {
  private readonly guests = new Map<string, Guest>();
  /** Served no longer, with a machine that is still there. */
  private readonly retired = new Set<ServedGuest>();
  private readonly counters = new Counters();
  private readonly hook: RecordHook;
  private readonly notifier: SystemdNotifier;
  private metrics: MetricsServer | undefined;
  private watcher: FSWatcher | undefined;
  private settling: NodeJS.Timeout | undefined;
  private stopped: Promise<void> | undefined;
  /** One change after the other. */
  private change: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly host: ServiceHost,
    private settings: ServiceSettings,
    private readonly lock: StoreLock,
    private readonly store: StoreThread,
    native: Native | undefined,
  ) {
    this.hook = new RecordHook(settings.hook, {
      done: () => this.counters.hooked(),
      failed: (guest, file, error) => this.log({ guest, event: 'hook-failed', file, error }),
      skipped: (guest, file) => this.log({ guest, event: 'hook-skipped', file }),
    });
    const failure = (error: string) => this.log({ event: 'notify-failed', error });
    this.notifier = new SystemdNotifier(host.environment, failure, native?.libc);
  }

  /** Begins to serve. Rejects with EXH_USAGE, EXH_IO: then nothing of it is left. */
  static async start(host: ServiceHost): Promise<DeviceService> {
    const settings = await host.load();
    const lock = await lockStore(settings.directory);
    let service: DeviceService | undefined;
    let store: StoreThread | undefined;
    try {
      store = await StoreThread.open(
        { directory: settings.directory, settings: settings.store },
        {
          described: (description, path) => service?.described(description, path),
          wrote: (seconds) => service?.counters.wrote(seconds),
          failed: (error) => service?.log({ event: 'store-failed', error: error.stack ?? error.message }),
        },
      );
      service = new DeviceService(host, settings, lock, store, await loadNative());
      const [failure] = await service.apply(settings);
      if (failure !== undefined) throw failure.error;
    } catch (error) {
      await service?.closeGuests();
      service?.metrics?.close();
      await store?.end(0);
      lock.release();
      throw error;
    }
    service.log({ event: 'started', guests: service.guests.size });
    await service.notifier.ready(service.guests.size);
    return service;
  }

  /** Reads the settings again, and goes on with them: as far as they make sense, else with the old ones. Never rejects. */
  reload(): Promise<void> {
    return this.inTurn(async () => {
      if (this.stopped) return;
      await this.notifier.reloading();
      try {
        const settings = await this.host.load();
        if (settings.directory !== this.settings.directory) {
          throw new ExhumeError('EXH_USAGE', 'the directory of the records cannot change while it is served');
        }
        for (const { guest, error } of await this.apply(settings)) {
          this.log({ guest, event: 'not-served', error: messageOf(error) });
        }
        this.log({ event: 'reloaded', guests: this.guests.size });
      } catch (error) {
        this.log({ event: 'reload-failed', error: messageOf(error) });
      }
      await this.notifier.ready(this.guests.size);
    });
  }

  /** Takes the sockets away, waits for what is being written, and ends. Never rejects. */
  stop(): Promise<void> {
    this.stopped ??= this.inTurn(() => this.end());
    return this.stopped;
  }

  private async end(): Promise<void> {
    this.watcher?.close();
    clearTimeout(this.settling);
    this.log({ event: 'stopping', paused: this.counters.standing });
    await this.notifier.stopping();
    for (const { served } of this.guests.values()) void served.retire();
    const finished = await this.store.end(STOP_PATIENCE);
    await this.closeGuests();
    await this.hook.end(STOP_PATIENCE);
    this.metrics?.close();
    this.lock.release();
    this.log({ event: 'stopped', finished });
  }

  /** Serves those that are to be served, and no others. Answers whose socket could not be had. */
  private async apply(settings: ServiceSettings): Promise<{ guest: string; error: unknown }[]> {
    const wanted = socketsOf(settings, await this.discovered(settings));
    if (settings.metrics?.port !== this.metrics?.wanted.port || settings.metrics?.host !== this.metrics?.wanted.host) {
      const { metrics } = settings;
      const begun = metrics && (await MetricsServer.listen(metrics, () => this.metricsPage()));
      this.metrics?.close();
      this.metrics = begun;
      if (begun) this.log({ event: 'metrics', address: begun.address });
    }
    this.settings = settings;
    this.hook.command = settings.hook;
    this.store.configure(settings.store);
    this.watch();
    for (const [guest, { socket, mode, served }] of this.guests) {
      if (wanted.get(guest) === socket && mode === settings.mode) continue;
      this.guests.delete(guest);
      this.retire(guest, served);
    }
    const failures: { guest: string; error: unknown }[] = [];
    const begin = [...wanted].map(async ([guest, socket]) => {
      if (this.guests.has(guest)) return;
      try {
        this.guests.set(guest, { socket, mode: settings.mode, served: await this.serve(guest, socket) });
      } catch (error) {
        failures.push({ guest, error });
      }
    });
    await Promise.all(begin);
    return failures;
  }

  private async serve(guest: string, socket: string): Promise<ServedGuest> {
    const log = (event: LogEvent): void => this.log(event);
    const monitor = (): string | undefined => {
      const { monitor } = this.settings;
      return monitor === undefined ? undefined : forGuest(monitor, guest);
    };
    const store = new PausingRecords(await this.store.guest(guest), guest, monitor, log);
    const { mode, bufferSize, protocol } = this.settings;
    return serveGuest({ guest, socket, mode, store, log, protocol, ...(bufferSize !== undefined && { bufferSize }) });
  }

  private retire(guest: string, served: ServedGuest): void {
    this.retired.add(served);
    void served.retire().then(() => this.retired.delete(served));
    this.log({ guest, event: 'retired' });
  }

  private async closeGuests(): Promise<void> {
    const all = [...this.retired, ...[...this.guests.values()].map(({ served }) => served)];
    await Promise.all(all.map((served) => served.close()));
  }

  private async discovered({ discover, directory }: ServiceSettings): Promise<string[]> {
    if (!discover) return [];
    try {
      const entries = await readdir(directory, { withFileTypes: true });
      return entries.filter((entry) => entry.isDirectory() && isGuestName(entry.name)).map(({ name }) => name);
    } catch (error) {
      throw new ExhumeError('EXH_IO', `${directory}: cannot list: ${messageOf(error)}`, { file: directory });
    }
  }

  /** Looks again whenever something appears in the directory, where the system tells of that. */
  private watch(): void {
    if (!this.settings.discover) {
      this.watcher?.close();
      this.watcher = undefined;
    } else if (this.watcher === undefined) {
      this.watcher = watch(this.settings.directory, () => {
        this.settling ??= setTimeout(() => {
          this.settling = undefined;
          void this.inTurn(() => this.look());
        }, SETTLE);
      });
      this.watcher.on('error', () => this.watcher?.close());
    }
  }

  private async look(): Promise<void> {
    if (this.stopped) return;
    try {
      for (const { guest, error } of await this.apply(this.settings)) {
        this.log({ guest, event: 'not-served', error: messageOf(error) });
      }
    } catch (error) {
      this.log({ event: 'reload-failed', error: messageOf(error) });
    }
  }

  private described(...[description, path]: Parameters<RecordHook['push']>): void {
    const { guest, file, reason, part } = description;
    this.log({ guest, event: 'described', file, reason, part });
    this.hook.push(description, path);
  }

  private log(event: LogEvent): void {
    this.counters.count(event);
    if (!isLogged(event, this.settings.logLevel)) return;
    const { event: name, ...rest } = event;
    const line = { time: new Date().toISOString(), level: levelOf(event), event: name, ...rest };
    this.host.write(`${JSON.stringify(line)}\n`);
  }

  private metricsPage(): string {
    const connected = new Map([...this.guests].map(([guest, { served }]) => [guest, served.connected]));
    const { usage, backlog } = this.store;
    const { store } = this.settings;
    return metricsPage(this.counters.metrics({ connected, usage, store, backlog, hooksWaiting: this.hook.waiting }));
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.change.then(work);
    this.change = done.catch(() => {});
    return done;
  }
}
