/** What a machine speaks to its device. */
export type Transport = 'vfio-user' | 'vhost-user';

/** What those who run a device hear of a connection. */
export interface ConnectionEvents {
  /** The first message has shown it. Once. */
  speaks?(transport: Transport): void;
  /** The guest's driver broke the device: it has to reset it. */
  broken?(error: Error): void;
  /** A driver wants interrupts, which cannot be raised: it has to poll. Once per connection. */
  silent?(): void;
  /**
   * How the guest's memory is moved, when that is found out: through descriptors that were passed; or by messages or not at
   * all although some were passed, and `why`.
   */
  memory?(by: 'descriptors' | 'messages' | 'nothing', why?: string): void;
  /** The client has gone; with what was wrong with what it sent, if that is why. */
  closed?(error?: Error): void;
}
