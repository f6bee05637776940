import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

const TimerSchema = Type.Object(
  {
    address: Hex('Of its timer_list or hrtimer'),
    expires: Type.Integer({ description: "In jiffies, or in nanoseconds of the base's clock" }),
    softExpires: nullable(Type.Integer(), 'From when on an hrtimer may run'),
    left: nullable(Type.Integer(), 'How much time was left; negative: it was late'),
    function: Hex('What is to be called'),
    symbol: nullable(Type.String(), 'The same as a symbol'),
  },
  { description: 'A pending timer' },
);
export type TimerEntry = Static<typeof TimerSchema>;

export const TimerReportSchema = document('exhume-timer/1', 'Timers (exhume timer --json)', {
  jiffies: nullable(Type.Integer(), 'jiffies_64 when the kernel stopped'),
  hz: nullable(Type.Integer(), 'Jiffies in a second'),
  wheels: Type.Array(
    Type.Object({
      cpu: Count('Number'),
      name: Text('BASE_STD, BASE_DEF; since 6.9 BASE_LOCAL, BASE_GLOBAL, BASE_DEF'),
      address: Hex('Of its timer_base'),
      timers: Type.Array(TimerSchema, { description: 'By expiry' }),
    }),
    { description: 'Timer wheels; empty with --hrtimers' },
  ),
  hrtimers: Type.Array(
    Type.Object({
      cpu: Count('Number'),
      address: Hex('Of its hrtimer_cpu_base'),
      clocks: Type.Array(
        Type.Object({
          index: Count('Number of the base'),
          clock: Text('CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI'),
          soft: Type.Boolean({ description: 'Run by the softirq, not by the interrupt' }),
          address: Hex('Of its hrtimer_clock_base'),
          getTime: nullable(Type.String(), 'The function that reads its clock (kernels up to 6.17)'),
          now: nullable(Type.Integer(), 'Its clock at the last tick, in nanoseconds'),
          timers: Type.Array(TimerSchema, { description: 'By expiry' }),
        }),
      ),
    }),
    { description: 'High-resolution timers; with --hrtimers, else empty' },
  ),
});
export type TimerReport = Static<typeof TimerReportSchema>;
