import type { MissingState } from '../../dump/memory.js';
import type { SwappedPages } from './slot-memory.js';

/** Swap that cannot be looked into: all that is there is lost. */
export class NoSwap implements SwappedPages {
  read(): MissingState {
    return 'lost';
  }
}
