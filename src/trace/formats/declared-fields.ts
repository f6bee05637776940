import { virtualAddress } from '../../bytes/address.js';
import type { KernelTypes } from '../../kernel/types/kernel-types.js';
import { Struct } from '../../kernel/types/struct.js';
import type { VirtualMemory } from '../../machine/virtual-memory.js';
import type { TraceField } from '../model.js';
import { fieldType, withoutAttributes } from './field-type.js';
import type { SharedStrings } from './shared-strings.js';

/** No event declares as many fields. */
const MOST_FIELDS = 1024;
/** From here on a function of the class says what fields there are. */
const TRACE_FUNCTION_TYPE = 0xffffffffffffffffn;

/**
 * The fields that an event's class declares (`fields_array`: `struct trace_event_fields`, the last one empty), laid out
 * as the kernel does when it boots (event_define_fields(), kernel/trace/trace_events.c).
 */
export function readDeclaredFields(
  { memory, types }: { readonly memory: VirtualMemory; readonly types: KernelTypes },
  strings: SharedStrings,
  address: bigint,
): readonly TraceField[] {
  const type = types.requireStruct('trace_event_fields');
  const fields: TraceField[] = [];
  let offset = types.requireStruct('trace_entry').size;
  for (let at = address; fields.length < MOST_FIELDS; at += BigInt(type.size)) {
    const field = new Struct(memory, type, virtualAddress(at));
    const words = field.pointer('type');
    if (words === 0n || words === TRACE_FUNCTION_TYPE) break;
    const align = Math.max(1, field.int('align'));
    const size = field.int('size');
    offset = Math.ceil(offset / align) * align;
    fields.push({
      name: strings.at(field.pointer('name')),
      type: fieldType(withoutAttributes(strings.at(words)), field.has('len') ? field.int('len') : undefined),
      offset,
      size,
      signed: field.int('is_signed') !== 0,
    });
    offset += size;
  }
  return fields;
}
