import type { Architecture } from './architecture.js';
import { X86_64 } from './x86-64/x86-64.js';

/** Every architecture that exhume reads. */
export const ARCHITECTURES: readonly Architecture[] = [X86_64];
