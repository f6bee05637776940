import type { TaskName } from '../schema/ps.js';
import { printable } from './page.js';

/** `PID: 1        TASK: ffff8c25c120b000  CPU: 0    COMMAND: "init"`, as crash begins what it has to say of a task. */
export function taskHeader({ pid, task, cpu, comm }: TaskName): string {
  const address = task.slice(2).padStart(16, '0');
  return `PID: ${String(pid).padEnd(8)} TASK: ${address}  CPU: ${String(cpu).padEnd(4)} COMMAND: "${printable(comm)}"`;
}

/** `PID: 1      TASK: ffff8c25c120b000  COMMAND: "init"`, as crash does in its lists of run queues. */
export function queuedTask({ pid, task, comm }: TaskName): string {
  const address = task.slice(2).padStart(16, '0');
  return `PID: ${String(pid).padEnd(6)} TASK: ${address}  COMMAND: "${printable(comm)}"`;
}

/** `[0 00:00:01.338]`: days, hours, minutes, seconds and milliseconds. */
export function elapsed(nanoseconds: number): string {
  const whole = Math.floor(nanoseconds / 1e9);
  const milliseconds = String(Math.floor(nanoseconds / 1e6) % 1000).padStart(3, '0');
  return `[${Math.floor(whole / 86400)} ${clockTime(whole % 86400)}.${milliseconds}]`;
}

/** `02:03:04`, days before it where there are any: `1 days, 02:03:04`. */
export function clockTime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const days = Math.floor(seconds / 86400);
  const time = `${two((seconds % 86400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return days > 0 ? `${days} days, ${time}` : time;
}
