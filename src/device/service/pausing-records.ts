import { messageOf } from '../../bytes/errors.js';
import type { NewRecord, RecordStore, Written } from '../../pstore/record-store.js';
import { ForwardedRecords } from '../forwarded-records.js';
import type { DeviceEvent } from '../log-events.js';
import { pauseMachine } from './qmp.js';

/**
 * A guest's records, for whom the machine stops when the disk refuses one: as block devices of QEMU do with `werror=stop`,
 * the write is tried once more when the machine is told to go on.
 */
export class PausingRecords extends ForwardedRecords {
  private pause: Promise<boolean> | undefined;

  /** @param monitor the path of the machine's QMP monitor now; undefined: it is not to be stopped */
  constructor(
    store: RecordStore,
    private readonly guest: string,
    private readonly monitor: () => string | undefined,
    private readonly log: (event: DeviceEvent) => void,
  ) {
    super(store);
  }

  override async write(record: NewRecord): Promise<Written> {
    for (let again = false; ; again = true) {
      const written = await this.store.write(record, again);
      if ('id' in written || (written.error !== 'io' && written.error !== 'full')) return written;
      const monitor = this.monitor();
      if (monitor === undefined) return written;
      this.pause ??= this.stop(monitor, written.error, written.problem).finally(() => {
        this.pause = undefined;
      });
      if (!(await this.pause)) return written;
    }
  }

  /** Resolves when the machine goes on: true. False: it could not be stopped, or has gone. */
  private async stop(monitor: string, why: 'io' | 'full', problem: string | undefined): Promise<boolean> {
    const { guest, log } = this;
    try {
      const { resumed } = await pauseMachine(monitor);
      log({ guest, event: 'paused', why, ...(problem !== undefined && { error: problem }) });
      const goesOn = await resumed;
      if (goesOn) log({ guest, event: 'resumed' });
      return goesOn;
    } catch (error) {
      log({ guest, event: 'pause-failed', error: messageOf(error) });
      return false;
    }
  }
}
