import { type Static, Type } from 'typebox';
import { Count, document, Hex, nullable, Text } from './common.js';

const AsSymbol = (description: string) => nullable(Type.String(), `${description} as a symbol`);

const InterruptSchema = Type.Object(
  {
    irq: Count('Its number'),
    address: Hex('Of its irq_desc'),
    chip: nullable(Type.String(), 'The interrupt controller: IO-APIC, PCI-MSI'),
    flow: nullable(Type.String(), 'How it is handled: edge, fasteoi'),
    hardware: Hex('Its number at the controller'),
    affinity: nullable(Type.Array(Type.Integer()), 'The CPUs that may take it'),
    counts: Type.Array(Type.Object({ cpu: Count('Number'), count: Count('How often') }), {
      description: 'How often each possible CPU took it',
    }),
    actions: Type.Array(
      Type.Object({
        address: Hex('Of its irqaction'),
        name: Text('Whose it is'),
        handler: Hex('Address'),
        symbol: AsSymbol('The handler'),
        threadHandler: nullable(Hex('Address'), 'What runs in a thread'),
        threadSymbol: AsSymbol('The same'),
      }),
      { description: 'Who is called; none where the line is not in use' },
    ),
  },
  { description: 'An interrupt line that has a descriptor' },
);
export type InterruptReport = Static<typeof InterruptSchema>;

export const IrqSchema = document('exhume-irq/1', 'Interrupts (exhume irq --json)', {
  limit: nullable(Type.Integer(), 'Interrupt numbers are below it'),
  interrupts: Type.Array(InterruptSchema),
  softirqs: Type.Array(Type.Object({ index: Count('Number'), action: Hex('Address'), symbol: AsSymbol('The same') }), {
    description: 'What is run for each kind of softirq; with --bottom, else empty',
  }),
  gates: Type.Array(
    Type.Object({
      vector: Count('Number'),
      handler: Hex('Address'),
      symbol: AsSymbol('The same'),
      stack: Count('Interrupt stack (IST) 1 to 7; 0: the stack in use'),
      present: Type.Boolean(),
    }),
    { description: 'The interrupt descriptor table; with --descriptors, else empty' },
  ),
});
export type IrqReport = Static<typeof IrqSchema>;
