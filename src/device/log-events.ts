import type { Refusal } from '../pstore/record-store.js';
import type { Transport } from './events.js';

/** What happens to one guest's device. A guest can cause only so many that are logged: what is told already is `again`. */
export type DeviceEvent = { readonly guest: string } & (
  | { readonly event: 'listening'; readonly socket: string }
  /** It is to be served no longer: its socket is gone, and a machine that is there keeps its device. */
  | { readonly event: 'retired' }
  | { readonly event: 'not-served'; readonly error: string }
  | { readonly event: 'connected' }
  /** What the machine speaks: its first message has come. */
  | { readonly event: 'transport'; readonly transport: Transport }
  | { readonly event: 'disconnected'; readonly breaks: number; readonly error?: string }
  /** A second machine came to the socket, and was sent away. */
  | { readonly event: 'busy' }
  | { readonly event: 'kept'; readonly id: number; readonly type: number; readonly bytes: number }
  | {
      readonly event: 'refused';
      readonly why: Refusal;
      readonly bytes: number;
      readonly again: boolean;
      readonly error?: string;
    }
  /** A record's description is there: the last thing that is done for a record. */
  | { readonly event: 'described'; readonly file: string; readonly reason: string | null; readonly part: number | null }
  | { readonly event: 'erased'; readonly id: number; readonly type: number }
  /** The driver broke the rules, for the first time in this connection. */
  | { readonly event: 'broken'; readonly error: string }
  /** The driver waits for interrupts, and will not get any. */
  | { readonly event: 'no-interrupts' }
  /** How the guest's memory is moved, where descriptors of it were passed; and why they are not used, if so. */
  | { readonly event: 'memory'; readonly by: 'descriptors' | 'messages' | 'nothing'; readonly why?: string }
  /** The machine was stopped because of the disk; it was told to go on; it could not be stopped. */
  | { readonly event: 'paused'; readonly why: Refusal; readonly error?: string }
  | { readonly event: 'resumed' }
  | { readonly event: 'pause-failed'; readonly error: string }
  | { readonly event: 'hook-failed'; readonly file: string; readonly error: string }
  | { readonly event: 'hook-skipped'; readonly file: string }
);

/** What happens to the service as a whole. */
export type ServiceEvent =
  | { readonly event: 'started'; readonly guests: number }
  | { readonly event: 'metrics'; readonly address: string }
  | { readonly event: 'reloaded'; readonly guests: number }
  | { readonly event: 'reload-failed'; readonly error: string }
  | { readonly event: 'store-failed'; readonly error: string }
  | { readonly event: 'notify-failed'; readonly error: string }
  /** `paused`: guests whose machines stand still; the records that they wait for are lost. */
  | { readonly event: 'stopping'; readonly paused: readonly string[] }
  /** `finished`: nothing was still waiting for the disk. */
  | { readonly event: 'stopped'; readonly finished: boolean };

export type LogEvent = DeviceEvent | ServiceEvent;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const LEVELS: Readonly<Record<LogEvent['event'], LogLevel>> = {
  listening: 'info',
  retired: 'info',
  'not-served': 'error',
  connected: 'info',
  transport: 'debug',
  memory: 'info',
  disconnected: 'info',
  busy: 'warn',
  kept: 'info',
  refused: 'warn',
  described: 'debug',
  erased: 'info',
  broken: 'warn',
  'no-interrupts': 'warn',
  paused: 'error',
  resumed: 'info',
  'pause-failed': 'error',
  'hook-failed': 'warn',
  'hook-skipped': 'warn',
  started: 'info',
  metrics: 'info',
  reloaded: 'info',
  'reload-failed': 'error',
  'store-failed': 'error',
  'notify-failed': 'warn',
  stopping: 'info',
  stopped: 'info',
};

export function levelOf(event: LogEvent): LogLevel {
  if (event.event === 'refused') {
    if (event.again) return 'debug';
    return event.why === 'io' || event.why === 'full' ? 'error' : 'warn';
  }
  if (event.event === 'stopping' && event.paused.length > 0) return 'error';
  if (event.event === 'disconnected' && event.error !== undefined) return 'warn';
  return LEVELS[event.event];
}

export function isLogged(event: LogEvent, least: LogLevel): boolean {
  return LOG_LEVELS.indexOf(levelOf(event)) >= LOG_LEVELS.indexOf(least);
}
