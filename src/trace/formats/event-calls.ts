import { virtualAddress } from '../../bytes/address.js';
import type { KernelTypes } from '../../kernel/types/kernel-types.js';
import { listEntries } from '../../kernel/types/lists.js';
import { containerOf, Struct } from '../../kernel/types/struct.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { TraceField } from '../model.js';
import { readDeclaredFields } from './declared-fields.js';
import { fieldType } from './field-type.js';
import { SharedStrings } from './shared-strings.js';

/** What event calls are read from: a kernel's memory, or the image that it was booted from. */
export interface EventMemory {
  readonly memory: VirtualMemory;
  readonly types: KernelTypes;
  /** The symbol at an address, as far as that is needed to know a function. */
  functionAt(address: bigint): string | undefined;
}

/** No event has as many fields. */
const MOST_FIELDS = 1024;

/** `TRACE_EVENT_FL_*` by their numbers in this kernel: the bits' order changed often. */
class Flags {
  constructor(private readonly types: KernelTypes) {}

  has(flags: number, name: string): boolean {
    const bit = this.types.enumerator(`TRACE_EVENT_FL_${name}_BIT`);
    return bit !== undefined && Math.floor(flags / 2 ** Number(bit)) % 2 === 1;
  }
}

/** Reads `struct trace_event_call`s (include/linux/trace_events.h); fields of a class are read once. */
export class EventCalls {
  readonly strings: SharedStrings;
  private readonly flags: Flags;
  /** By the address of the list's head. */
  private readonly lists = new Map<bigint, readonly TraceField[]>();

  constructor(readonly source: EventMemory) {
    this.strings = new SharedStrings(source.memory);
    this.flags = new Flags(source.types);
  }

  call(address: bigint): Struct {
    return new Struct(this.source.memory, this.source.types.requireStruct('trace_event_call'), virtualAddress(address));
  }

  /** `trace_event_name()` */
  name(call: Struct): string {
    const flags = call.int('flags');
    const tracepoint = this.flags.has(flags, 'TRACEPOINT') && !this.flags.has(flags, 'CUSTOM');
    return this.strings.at(tracepoint ? call.pointer('tp->name') : call.pointer('name'));
  }

  system(call: Struct): string {
    return this.strings.at(call.pointer('class->system'));
  }

  /** Which of the files of tracefs it was made through; undefined for an event of the kernel's or a module's own. */
  dynamic(call: Struct, system: string): string | undefined {
    const flags = call.int('flags');
    if (system === 'synthetic') return 'synthetic';
    if (system === 'user_events') return 'user';
    for (const kind of ['KPROBE', 'UPROBE', 'EPROBE', 'FPROBE']) {
      if (this.flags.has(flags, kind)) return kind.toLowerCase();
    }
    return this.flags.has(flags, 'DYNAMIC') ? 'dynamic' : undefined;
  }

  /** In a dynamic event the place of `module` holds a count of references. */
  module(call: Struct, dynamic: string | undefined): string | undefined {
    const { memory, types } = this.source;
    const type = types.struct('module');
    const address = dynamic === undefined && call.has('module') ? call.pointer('module') : 0n;
    return type === undefined || address === 0n
      ? undefined
      : new Struct(memory, type, virtualAddress(address)).string('name');
  }

  /** What an event probe hangs on: `sched.sched_switch`. */
  probed(call: Struct): string | undefined {
    const { memory, types } = this.source;
    const [event, probe, eventProbe] = ['trace_probe_event', 'trace_probe', 'trace_eprobe'].map((name) =>
      types.struct(name),
    );
    if (event === undefined || probe === undefined || eventProbe === undefined) return undefined;
    const { address } = containerOf(memory, event, 'call', call.address);
    const first = containerOf(memory, probe, 'list', memory.pointer(address + BigInt(event.require('probes').offset)));
    const found = containerOf(memory, eventProbe, 'tp', first.address);
    return `${this.strings.at(found.pointer('event_system'))}.${this.strings.at(found.pointer('event_name'))}`;
  }

  /** In the order of declaration; as the kernel laid them out at run time, or as it would have. */
  fields(call: Struct): readonly TraceField[] {
    const head = this.fieldList(call);
    const defined = head === undefined ? [] : this.listed(head);
    return defined.length > 0 ? defined : this.declared(call);
  }

  /** As the class declares them: what the kernel makes the list of. Kernels before 5.7 have none. */
  declared(call: Struct): readonly TraceField[] {
    const at = call.has('class->fields_array') ? call.pointer('class->fields_array') : 0n;
    return at === 0n ? [] : readDeclaredFields(this.source, this.strings, at);
  }

  /** Fields on a list of `struct ftrace_event_field`, which is newest first. */
  listed(head: bigint): readonly TraceField[] {
    const known = this.lists.get(head);
    if (known !== undefined) return known;
    const { memory, types } = this.source;
    const fields: TraceField[] = [];
    for (const field of listEntries(memory, head, types.requireStruct('ftrace_event_field'), 'link')) {
      if (fields.length >= MOST_FIELDS) break;
      fields.push({
        name: this.strings.at(field.pointer('name')),
        type: fieldType(this.strings.at(field.pointer('type')), field.has('len') ? field.int('len') : undefined),
        offset: field.int('offset'),
        size: field.int('size'),
        signed: field.int('is_signed') !== 0,
      });
    }
    fields.reverse();
    this.lists.set(head, fields);
    return fields;
  }

  /** `trace_get_fields()`: where the list's head is; undefined where a class keeps it in a way that is not known. */
  private fieldList(call: Struct): bigint | undefined {
    const { source } = this;
    const getter = call.has('class->get_fields') ? call.pointer('class->get_fields') : 0n;
    if (getter === 0n) return call.addressOf('class->fields');
    const data = call.pointer('data');
    const getterName = source.functionAt(getter) ?? '';
    const [type, member, address] = getterName.includes('user_event')
      ? (['user_event', 'fields', userEventOf(source.types, call)] as const)
      : (['syscall_metadata', 'enter_fields', data] as const);
    const offset = source.types.struct(type)?.field(member)?.offset;
    return offset === undefined || address === 0n ? undefined : address + BigInt(offset);
  }
}

/** `container_of(call, struct user_event, call)` */
function userEventOf(types: KernelTypes, call: Struct): bigint {
  const offset = types.struct('user_event')?.field('call')?.offset;
  return offset === undefined ? 0n : call.address - BigInt(offset);
}
