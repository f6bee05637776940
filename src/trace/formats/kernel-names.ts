import { type Damage, damageOf, orUndefined } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import type { TraceNames } from '../model.js';
import { functionParameters } from './function-parameters.js';
import { kernelValues } from './kernel-values.js';
import { pointerHash } from './pointer-hash.js';
import { printkFormats } from './printk-formats.js';
import { SharedStrings } from './shared-strings.js';

/** As many as PID_MAX_LIMIT on 64-bit kernels. */
const MOST_PROCESSES = 1 << 22;
/** TASK_COMM_LEN */
const COMM_BYTES = 16;

/** What numbers in a kernel's trace are called, as it had saved it. A part that cannot be read is damage, and empty. */
export function readKernelNames(view: KernelView, damage: Damage[] = []): TraceNames {
  const attempt = <T>(part: string, read: () => T, otherwise: T): T => {
    try {
      return read();
    } catch (error) {
      damage.push(damageOf(part, error));
      return otherwise;
    }
  };
  const { memory, types } = view;
  const { symbols } = view.kernel;
  const strings = new SharedStrings(memory);
  const comms = attempt('saved command lines', () => savedComms(view), new Map<number, string>());
  const groups = attempt('saved thread groups', () => savedGroups(view), undefined);
  const formats = attempt(
    'printk formats',
    () => printkFormats({ memory, types, symbols }, strings),
    new Map<bigint, string>(),
  );
  const string = (address: bigint) => (address === 0n ? undefined : orUndefined(() => strings.at(address)));
  const hashPointer = pointerHash(view);
  return {
    comm: (pid) => (pid === 0 ? '<idle>' : comms.get(pid)),
    threadGroup: (pid) => groups?.of(pid),
    symbol: (address) => symbols.at(address),
    // The kernel prints whatever the record points at; the list is what it tells others.
    printkFormat: (address) => formats.get(address) ?? string(address),
    string,
    ...(hashPointer !== undefined && { hashPointer }),
    ...kernelValues(view),
    parameters: (name) => functionParameters(types, name),
    comms: () => comms,
    threadGroups: () => groups?.all() ?? [],
    printkFormats: () => formats,
    symbols: () => symbols.all(),
  };
}

/**
 * `struct saved_cmdlines_buffer`: for each slot the process that it is of, and 16 characters. Up to 6.8 the characters are
 * an allocation of their own. A slot counts when the process leads back to it.
 */
function savedComms({ memory, kernel, types }: KernelView): Map<number, string> {
  const comms = new Map<number, string>();
  const variable = kernel.symbols.address('savedcmd');
  const type = types.struct('saved_cmdlines_buffer');
  if (variable === undefined || type === undefined) return comms;
  const address = memory.pointer(variable);
  if (address === 0n) return comms;
  const count = Math.min(memory.u32(address + BigInt(type.require('cmdline_num').offset)), MOST_PROCESSES);
  const slots = type.require('saved_cmdlines');
  const slotsAt = address + BigInt(slots.offset);
  const textAt = slots.kind === 'pointer' ? memory.pointer(slotsAt) : slotsAt;
  const ownersAt = memory.pointer(address + BigInt(type.require('map_cmdline_to_pid').offset));
  const map = type.require('map_pid_to_cmdline');
  // PID_MAX_DEFAULT, a power of two, is the last index.
  const mask = map.size / 4 - 2;
  for (let slot = 0; slot < count; slot++) {
    const pid = memory.u32(ownersAt + BigInt(slot * 4));
    if (pid === NO_CMDLINE_MAP) continue;
    if (memory.u32(address + BigInt(map.offset + (pid & mask) * 4)) !== slot) continue;
    comms.set(pid, memory.string(textAt + BigInt(slot * COMM_BYTES), COMM_BYTES));
  }
  return comms;
}

/** UINT_MAX */
const NO_CMDLINE_MAP = 0xffffffff;

interface Groups {
  of(pid: number): number | undefined;
  all(): Iterable<readonly [number, number]>;
}

/** `tgid_map`: an `int` for each process number up to `tgid_map_max`; 0: not known. There once `record-tgid` was set. */
function savedGroups({ memory, kernel: { symbols } }: KernelView): Groups | undefined {
  const variable = symbols.address('tgid_map');
  const map = variable === undefined ? 0n : memory.pointer(variable);
  if (map === 0n) return undefined;
  const last = symbols.address('tgid_map_max');
  // Up to 5.13 it had PID_MAX_DEFAULT + 1 of them.
  const most = last === undefined ? 0x8000 : Math.min(Number(memory.u64(last)), MOST_PROCESSES);
  return {
    of: (pid) => {
      if (pid < 0 || pid > most) return undefined;
      return orUndefined(() => memory.u32(map + BigInt(pid * 4))) || undefined;
    },
    *all() {
      const each = 1024;
      for (let first = 0; first <= most; first += each) {
        const count = Math.min(each, most + 1 - first);
        const words = orUndefined(() => viewOf(memory.bytes(map + BigInt(first * 4), count * 4)));
        for (let i = 0; words !== undefined && i < count; i++) {
          const group = words.getUint32(i * 4, memory.littleEndian);
          if (group !== 0) yield [first + i, group];
        }
      }
    },
  };
}
