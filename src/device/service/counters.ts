import type { GuestUsage } from '../../pstore/node/store.js';
import { policyOf, type StoreSettings } from '../../pstore/policy.js';
import type { LogEvent } from '../log-events.js';
import type { Metric, Sample } from './metrics.js';

/** What is counted for each guest: by the name of the metric, what it is, and which events it counts. */
const COUNTED = {
  records_total: ['Records kept', (event) => (event.event === 'kept' ? 1 : 0)],
  record_bytes_total: ['Bytes of records kept', (event) => (event.event === 'kept' ? event.bytes : 0)],
  erased_total: ['Records that the guest removed', (event) => (event.event === 'erased' ? 1 : 0)],
  connections_total: ['Machines that came', (event) => (event.event === 'connected' ? 1 : 0)],
  breaks_total: [
    'Times that the driver broke the device, of machines that are gone',
    (event) => (event.event === 'disconnected' ? event.breaks : 0),
  ],
  pauses_total: [
    'Times that the machine was stopped because of the disk',
    (event) => (event.event === 'paused' ? 1 : 0),
  ],
  pauses_failed_total: ['Times that it could not be', (event) => (event.event === 'pause-failed' ? 1 : 0)],
} as const satisfies Record<string, readonly [help: string, count: (event: LogEvent) => number]>;

/** What cannot be counted from events. */
export interface Gauges {
  readonly connected: ReadonlyMap<string, boolean>;
  readonly usage: ReadonlyMap<string, GuestUsage>;
  readonly store: StoreSettings;
  readonly backlog: { readonly requests: number; readonly seconds: number };
  readonly hooksWaiting: number;
}

/** Counts what happens, for metrics. */
export class Counters {
  private readonly counts = new Map<string, Map<string, number>>();
  private readonly refused = new Map<string, Map<string, number>>();
  private readonly hooks = new Map([
    ['ok', 0],
    ['failed', 0],
    ['skipped', 0],
  ]);
  private readonly paused = new Set<string>();
  private writes = 0;
  private writeSeconds = 0;
  private storeFailures = 0;

  /** Guests whose machines stand still because of the disk. */
  get standing(): readonly string[] {
    return [...this.paused];
  }

  /** A write was answered. */
  wrote(seconds: number): void {
    this.writes++;
    this.writeSeconds += seconds;
  }

  hooked(): void {
    add(this.hooks, 'ok', 1);
  }

  count(event: LogEvent): void {
    if (!('guest' in event)) {
      if (event.event === 'store-failed') this.storeFailures++;
      return;
    }
    const { guest } = event;
    if (event.event === 'hook-failed') add(this.hooks, 'failed', 1);
    else if (event.event === 'hook-skipped') add(this.hooks, 'skipped', 1);
    else if (event.event === 'refused') add(of(this.refused, guest), event.why, 1);
    else if (event.event === 'paused') this.paused.add(guest);
    else if (event.event === 'resumed' || event.event === 'disconnected') this.paused.delete(guest);
    for (const [name, [, count]] of Object.entries(COUNTED)) add(of(this.counts, name), guest, count(event));
  }

  metrics({ connected, usage, store, backlog, hooksWaiting }: Gauges): Metric[] {
    const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => {
      return { name, help, type: 'gauge', samples };
    };
    const counter = (name: string, help: string, samples: readonly Sample[]): Metric => {
      return { name, help, type: 'counter', samples };
    };
    const alone = (value: number): Sample[] => [{ value }];
    const guests = [...connected.keys()];
    return [
      gauge(
        'connected',
        'Whether a machine is connected',
        samplesOf(
          'guest',
          [...connected].map(([guest, is]) => [guest, Number(is)]),
        ),
      ),
      gauge(
        'paused',
        'Whether the machine was stopped because of the disk',
        samplesOf(
          'guest',
          guests.map((guest) => [guest, Number(this.paused.has(guest))]),
        ),
      ),
      ...Object.entries(COUNTED).map(([name, [help]]) =>
        counter(name, help, samplesOf('guest', of(this.counts, name))),
      ),
      counter(
        'refused_total',
        'Records refused',
        [...this.refused].flatMap(([guest, reasons]) =>
          [...reasons].map(([why, value]) => ({ labels: { guest, why }, value })),
        ),
      ),
      gauge(
        'stored_records',
        'Records on the disk',
        samplesOf(
          'guest',
          [...usage].map(([guest, { records }]) => [guest, records]),
        ),
      ),
      gauge(
        'stored_bytes',
        'Bytes on the disk, as the quota counts them',
        samplesOf(
          'guest',
          [...usage].map(([guest, { bytes }]) => [guest, bytes]),
        ),
      ),
      gauge(
        'quota_bytes',
        'Bytes that a guest may have',
        samplesOf(
          'guest',
          [...usage.keys()].map((guest) => [guest, policyOf(store, guest).guestBytes]),
        ),
      ),
      gauge('total_quota_bytes', 'Bytes that all guests may have together', alone(policyOf(store, '').totalBytes)),
      gauge('waiting_requests', 'Requests that wait for the disk', alone(backlog.requests)),
      gauge('oldest_request_seconds', 'How long the oldest of them has waited', alone(backlog.seconds)),
      counter('writes_total', 'Writes answered', alone(this.writes)),
      counter('write_seconds_total', 'Seconds from a write to its answer, all together', alone(this.writeSeconds)),
      counter('store_failures_total', 'Times that the thread of the store ended by a bug', alone(this.storeFailures)),
      counter(
        'hooks_total',
        'Records for which the command ran, failed, or was skipped',
        samplesOf('result', this.hooks),
      ),
      gauge('hooks_waiting', 'Records for which the command has not run yet', alone(hooksWaiting)),
      gauge('resident_memory_bytes', 'Memory of the service', alone(process.memoryUsage.rss())),
      gauge('start_time_seconds', 'When it started, since 1970', alone(performance.timeOrigin / 1000)),
    ];
  }
}

function samplesOf(label: string, values: Iterable<readonly [string, number]>): Sample[] {
  return [...values].map(([name, value]) => ({ labels: { [label]: name }, value }));
}

function of(counts: Map<string, Map<string, number>>, name: string): Map<string, number> {
  const known = counts.get(name) ?? new Map<string, number>();
  counts.set(name, known);
  return known;
}

function add(counts: Map<string, number>, name: string, more: number): void {
  counts.set(name, (counts.get(name) ?? 0) + more);
}
