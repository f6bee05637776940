import { viewOf } from '../../bytes/struct-table.js';
import { NT_PRSTATUS, PRSTATUS, PRSTATUS_BYTES } from '../../machine/x86-64/prstatus.js';
import { fileAt, type ProcessCore } from './process-core.js';

/** A thread of the process, from its NT_PRSTATUS. */
export interface Thread {
  readonly tid: number;
  /** The signal that it died of; 0: none. */
  readonly signal: number;
  readonly rip: number;
  /** It ran code that is in no file: what the translator made. */
  readonly inTranslatedCode: boolean;
  /** It was in the system call that runs a guest. */
  readonly inKvmRun: boolean;
}

const SYS_IOCTL = 16n;
/** _IO(KVMIO, 0x80); include/uapi/linux/kvm.h. */
const KVM_RUN = 0xae80n;

/** The threads in the core's order: the one that died is the first. */
export function threadsOf({ notes, files, memory }: ProcessCore): Thread[] {
  return notes
    .filter(
      ({ name, type, description }) => name === 'CORE' && type === NT_PRSTATUS && description.length >= PRSTATUS_BYTES,
    )
    .map(({ description }) => {
      const { pr_pid: tid, pr_cursig: signal, rip, orig_rax, rsi } = PRSTATUS.read(viewOf(description));
      const at = Number(rip);
      const span = memory.at(at);
      return {
        tid,
        signal,
        rip: at,
        inTranslatedCode: span?.code === true && fileAt(files, at) === undefined,
        inKvmRun: orig_rax === SYS_IOCTL && rsi === KVM_RUN,
      };
    });
}
