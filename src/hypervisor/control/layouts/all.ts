import type { VmcsLayout } from '../vmcs-layout.js';
import { BOCHS_2_7, BOCHS_2_8, BOCHS_3_1 } from './bochs.js';
import { HASWELL, NEHALEM, PENRYN, WESTMERE } from './intel.js';
import { VMCS12 } from './vmcs12.js';

/** Every layout that is known, in no order that matters: the page decides. */
export const VMCS_LAYOUTS: readonly VmcsLayout[] = [
  VMCS12,
  PENRYN,
  NEHALEM,
  WESTMERE,
  HASWELL,
  BOCHS_2_7,
  BOCHS_2_8,
  BOCHS_3_1,
];
