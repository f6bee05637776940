import type { GuestPolicy } from '../../pstore/policy.js';
import type { LogLevel } from '../log-events.js';
import type { Protocol } from '../protocol.js';

export const DISK_ERROR_ACTIONS = ['refuse', 'pause'] as const;

/** Where metrics are to be had. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What the service is told, by its command line or its configuration file. */
export interface ServiceOptions {
  readonly dir?: string;
  readonly socket?: readonly string[];
  readonly guest?: readonly string[];
  readonly discover?: boolean;
  readonly socketMode?: number;
  readonly bufferSize?: number;
  readonly protocol?: Protocol;
  readonly keepFirst?: number;
  readonly keepLast?: number;
  readonly guestQuota?: number;
  readonly totalQuota?: number;
  readonly rate?: number;
  readonly burst?: number;
  readonly onDiskError?: (typeof DISK_ERROR_ACTIONS)[number];
  readonly qmp?: string;
  readonly onRecord?: readonly string[];
  readonly metrics?: Address;
  readonly logLevel?: LogLevel;
  /** In the file only. */
  readonly types?: GuestPolicy['types'];
  readonly guests?: Readonly<Record<string, Partial<GuestPolicy>>>;
}
