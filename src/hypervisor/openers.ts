import type { Opener } from '../dump/open.js';
import { openMigration } from './migration/open.js';
import { openQemuCore } from './qemu-core/open.js';

/** What has a machine in it without being a dump of one. */
export const OPENERS: readonly Opener[] = [openQemuCore, openMigration];
