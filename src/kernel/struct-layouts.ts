import { isExhumeError } from '../bytes/errors.js';
import type { Layouts } from './layouts.js';
import type { Btf } from './types/btf.js';
import type { Vmcoreinfo } from './vmcoreinfo.js';

/**
 * Layouts out of VMCOREINFO and BTF. VMCOREINFO is asked first: it is a page, BTF is megabytes.
 * @param loadBtf called when VMCOREINFO does not tell; undefined when the kernel has no BTF
 */
export function structLayouts(vmcoreinfo: Vmcoreinfo | undefined, loadBtf: () => Btf | undefined): Layouts {
  const kept = new Map<string, number | undefined>();

  /** One question to BTF, its answer kept; a damaged type has no layout. */
  const askBtf = (question: string, ask: (btf: Btf) => number | undefined): number | undefined => {
    if (kept.has(question)) return kept.get(question);
    let answer: number | undefined;
    try {
      const btf = loadBtf();
      answer = btf && ask(btf);
    } catch (error) {
      if (!isExhumeError(error)) throw error;
    }
    kept.set(question, answer);
    return answer;
  };

  const member = (btf: Btf, struct: string, path: string) => {
    const id = btf.findStruct(struct);
    return id === undefined ? undefined : btf.member(id, path);
  };

  return {
    offset: (struct, path) =>
      vmcoreinfo?.offset(struct, path) ??
      askBtf(`offset ${struct}.${path}`, (btf) => {
        const found = member(btf, struct, path);
        return found === undefined ? undefined : found.bitOffset >>> 3;
      }),
    size: (struct) =>
      vmcoreinfo?.size(struct) ??
      askBtf(`size ${struct}`, (btf) => {
        const id = btf.findStruct(struct);
        return id === undefined ? undefined : btf.size(id);
      }),
    memberSize: (struct, path) =>
      askBtf(`member size ${struct}.${path}`, (btf) => {
        const found = member(btf, struct, path);
        return found === undefined ? undefined : btf.size(found.typeId);
      }),
    number: (name) => {
      const told = vmcoreinfo?.number(name);
      if (told !== undefined) return told;
      const value = askBtf(`enumerator ${name}`, (btf) => {
        const found = btf.enumerator(name);
        return found === undefined ? undefined : Number(found);
      });
      return value === undefined ? undefined : BigInt(value);
    },
  };
}
