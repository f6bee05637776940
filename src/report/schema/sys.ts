import { type Static, Type } from 'typebox';
import { Count, document, nullable } from './common.js';

export const CpuCountSchema = Type.Object({
  present: Count('CPUs that the machine had'),
  offline: Count('Of those, how many were not online; a panic takes all others down'),
});

export const SysSchema = document('exhume-sys/1', 'The system (exhume sys --json)', {
  buildId: nullable(Type.String(), "The kernel's build id"),
  files: Type.Array(Type.String(), { description: 'The dump' }),
  cpus: nullable(CpuCountSchema, 'CPUs'),
  date: nullable(Type.String(), 'When the kernel stopped, ISO 8601, UTC'),
  uptime: nullable(Type.Number(), 'Seconds from boot to then'),
  loadAverage: nullable(Type.Array(Type.Number()), 'Over 1, 5 and 15 minutes'),
  tasks: nullable(Type.Integer(), 'Threads, idle ones among them'),
  nodeName: nullable(Type.String(), 'uname -n'),
  release: nullable(Type.String(), 'uname -r'),
  version: nullable(Type.String(), 'uname -v'),
  machine: nullable(Type.String(), 'uname -m'),
  megahertz: nullable(Type.Integer(), 'Speed of the CPUs'),
  memory: nullable(Type.Integer(), 'Bytes, of all nodes'),
  panic: nullable(Type.String(), 'What it died of'),
});
export type SysReport = Static<typeof SysSchema>;
