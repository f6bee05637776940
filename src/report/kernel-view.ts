import { KernelView } from '../kernel/kernel-view.js';
import { requireKernel, type Subject } from './subject.js';

/** The kernel with its types, for answers that walk structures. Throws EXH_NO_KERNEL, EXH_NO_LAYOUT. */
export function requireView(subject: Subject): KernelView {
  return new KernelView(requireKernel(subject));
}
