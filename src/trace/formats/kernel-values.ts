import { isExhumeError } from '../../bytes/errors.js';
import type { KernelView } from '../../kernel/kernel-view.js';
import { type Btf, BtfKind } from '../../kernel/types/btf.js';
import type { KernelTypes } from '../../kernel/types/kernel-types.js';
import type { TraceNames } from '../model.js';

/** What print formats refer to in the kernel that they are of: its enumerations, variables and types. */
export function kernelValues(view: KernelView): Required<Pick<TraceNames, 'constant' | 'variable' | 'type'>> {
  const { memory, types, kernel } = view;
  const { constant, type } = typeValues(types);
  return {
    // What is a variable is no constant, and need not be looked for in the types of all modules.
    constant: (name) => (kernel.symbols.address(name) === undefined ? constant(name) : undefined),
    type,
    variable(name) {
      const address = kernel.symbols.address(name);
      if (address === undefined) return undefined;
      try {
        return memory.u64(address);
      } catch (error) {
        if (isExhumeError(error)) return undefined;
        throw error;
      }
    },
  };
}

/** Of these, what a kernel's types tell alone. */
export function typeValues(types: KernelTypes): Required<Pick<TraceNames, 'constant' | 'type'>> {
  return {
    constant(name) {
      for (const btf of types.all()) {
        const value = btf.enumerator(name);
        if (value !== undefined) return value;
      }
      return undefined;
    },
    type(name) {
      const [, tag, bare = name] = /^(?:(struct|union|enum) )?(.*)$/.exec(name) ?? [];
      const kinds = tag === undefined ? [BtfKind.Typedef, BtfKind.Int] : (KINDS[tag] ?? []);
      for (const btf of types.all()) {
        const id = btf.find(bare, ...kinds);
        const size = id === undefined ? undefined : btf.size(id);
        if (id !== undefined && size !== undefined) return { size, signed: isSigned(btf, btf.resolve(id)) };
      }
      return undefined;
    },
  };
}

const KINDS: Readonly<Record<string, readonly number[]>> = {
  struct: [BtfKind.Struct],
  union: [BtfKind.Union],
  enum: [BtfKind.Enum, BtfKind.Enum64],
};

function isSigned(btf: Btf, id: number): boolean {
  return btf.kind(id) === BtfKind.Int ? btf.integer(id).signed : btf.kind(id) === BtfKind.Enum && btf.flag(id);
}
