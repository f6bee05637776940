/** The scene's directory has `host.raw` (all of the host's memory) and `serial.log` (the host's console, the guest's in it). */
export const INTEL_SCENE = 'intel-6.1';

/** Lines of the guest's console begin so on the host's. */
export const GUEST_PREFIX = 'guest: ';

/** The guest's CPUs: what differs between them tells more of a VMCS than one could. */
export const GUEST_CPUS = 2;
