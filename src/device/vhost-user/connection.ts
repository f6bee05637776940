import { ExhumeError } from '../../bytes/errors.js';
import { viewOf } from '../../bytes/struct-table.js';
import { closeAll, Descriptors } from '../descriptors.js';
import type { ConnectionEvents } from '../events.js';
import { FrameReader } from '../frames.js';
import type { Link, LinkReceiver } from '../link.js';
import type { Native } from '../native/native.js';
import type { VirtioDevice } from '../virtio-device.js';
import { VhostMemory } from './memory.js';
import * as wire from './protocol.js';
import { type RingEvent, type RingHost, VhostRing } from './ring.js';

const OFFERED = wire.F_VERSION_1 | wire.F_PROTOCOL_FEATURES;
const OFFERED_PROTOCOL = wire.P_MULTIQUEUE | wire.P_REPLY_ACK | wire.P_CONFIG | wire.P_RESET_DEVICE;

interface Message {
  readonly request: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** A reply's payload; or whether it went well, of which not all machines want to hear. */
type Answer = Uint8Array | boolean;

/**
 * One machine of a virtio device, over vhost-user: the machine keeps the registers, and gives away its memory and
 * counters for requests (kick) and interrupts (call). Nothing can be done without descriptors.
 *
 * Messages are answered one after the other, each before the next one is looked at. One that stops a ring is answered
 * when the request under way has been given back: a machine that starts it again, here or with another process, goes on
 * after that one.
 */
export class VhostUserConnection implements LinkReceiver {
  private readonly reader = new FrameReader(wire.FRAMING);
  /** Descriptors of the message that is coming. */
  private coming: number[] = [];
  private readonly memory = new VhostMemory();
  private readonly rings: readonly VhostRing[];
  private features = 0n;
  private protocolFeatures = 0n;
  private broken = false;
  private toldSilent = false;
  private toldMemory: boolean | undefined;

  constructor(
    private readonly link: Link,
    native: Native,
    private readonly device: VirtioDevice,
    private readonly events: ConnectionEvents = {},
  ) {
    const host: RingHost = {
      failed: (error) => this.fail(error),
      silent: () => this.tellSilent(),
      sees: (requests) => this.tellMemory(requests),
    };
    this.rings = Array.from({ length: device.queues }, () => new VhostRing(native, device, host));
  }

  get wants(): number {
    return this.reader.wants;
  }

  take(bytes: Uint8Array, descriptors: readonly number[]): void {
    this.coming.push(...descriptors);
    if (this.coming.length > wire.MOST_REGIONS) throw wrong(`${this.coming.length} descriptors with one message`);
    // As much is taken as is wanted: never more than one message.
    for (const frame of this.reader.push(bytes)) {
      const message = { ...wire.HEADER.read(viewOf(frame)), body: frame.subarray(wire.HEADER.size) };
      const came = new Descriptors(this.coming.splice(0));
      try {
        const answer = this.answer(message, came);
        if (answer instanceof Promise) this.await(message, answer);
        else this.reply(message, answer);
      } finally {
        came.close();
      }
    }
  }

  closed(error?: Error): void {
    closeAll(this.coming.splice(0));
    for (const ring of this.rings) ring.close();
    this.memory.close();
    this.device.reset();
    this.events.closed?.(error);
  }

  /** Nothing more is taken before this message is answered. */
  private await(message: Message, answer: Promise<Answer>): void {
    this.link.pause();
    void answer.then((done) => {
      this.reply(message, done);
      this.link.resume();
    });
  }

  private reply({ request, flags }: Message, answer: Answer): void {
    const acknowledges = (flags & wire.NEED_REPLY) !== 0 && (this.protocolFeatures & wire.P_REPLY_ACK) !== 0n;
    if (answer === false && !acknowledges) {
      this.link.close(wrong(`request ${request} is none that can be answered`));
    } else if (typeof answer !== 'boolean') this.send(request, answer);
    else if (acknowledges) this.send(request, u64(answer ? 0n : 1n));
  }

  private send(request: number, payload: Uint8Array): void {
    const bytes = new Uint8Array(wire.HEADER.size + payload.length);
    const flags = wire.VERSION | wire.REPLY;
    wire.HEADER.write(viewOf(bytes), 0, { request, flags, size: payload.length });
    bytes.set(payload, wire.HEADER.size);
    this.link.send(bytes);
  }

  private answer({ request, body }: Message, came: Descriptors): Answer | Promise<Answer> {
    const view = viewOf(body);
    const withU64 = (then: (value: bigint) => Answer | Promise<Answer>) =>
      body.length >= wire.U64.size && then(wire.U64.read(view).value);
    const withRing = (then: (ring: VhostRing, value: number) => Answer | Promise<Answer>) => {
      if (body.length < wire.RING_STATE.size) return false;
      const { index, value } = wire.RING_STATE.read(view);
      const ring = this.rings[index];
      return ring !== undefined && then(ring, value);
    };
    switch (request) {
      case wire.REQUEST.getFeatures:
        return u64(OFFERED);
      case wire.REQUEST.setFeatures:
        return withU64((value) => {
          this.features = value;
          return (value & ~OFFERED) === 0n;
        });
      case wire.REQUEST.getProtocolFeatures:
        return u64(OFFERED_PROTOCOL);
      case wire.REQUEST.setProtocolFeatures:
        return withU64((value) => {
          this.protocolFeatures = value & OFFERED_PROTOCOL;
          return value === this.protocolFeatures;
        });
      case wire.REQUEST.getQueueCount:
        return u64(BigInt(this.rings.length));
      case wire.REQUEST.setOwner:
        return true;
      case wire.REQUEST.resetOwner:
      case wire.REQUEST.resetDevice:
        return Promise.all(this.rings.map((ring) => ring.stop())).then(() => this.rested());
      case wire.REQUEST.setMemoryTable:
        return this.setMemory(body, came);
      case wire.REQUEST.setRingSize:
        return withRing((ring, value) => ring.setSize(value));
      case wire.REQUEST.setRingBase:
        return withRing((ring, value) => ring.setBase(value));
      case wire.REQUEST.setRingAddress: {
        if (body.length < wire.RING_ADDRESS.size) return false;
        const { index, descriptors, available, used } = wire.RING_ADDRESS.read(view);
        return this.rings[index]?.setAddresses({ descriptors, available, used }) ?? false;
      }
      case wire.REQUEST.getRingBase:
        return withRing(async (ring) => {
          const value = await ring.stop();
          this.rested();
          const bytes = body.slice(0, wire.RING_STATE.size);
          wire.RING_STATE.write(viewOf(bytes), 0, { value });
          return bytes;
        });
      case wire.REQUEST.setRingKick:
        return withU64((value) => this.setEvent('kick', value, came));
      case wire.REQUEST.setRingCall:
        return withU64((value) => this.setEvent('call', value, came));
      case wire.REQUEST.setRingError:
        return withU64((value) => this.setEvent('error', value, came));
      case wire.REQUEST.setRingEnable:
        return withRing((ring, value) => {
          ring.enabled = value !== 0;
          if (!ring.enabled) return ring.halt().then(() => true);
          this.run(ring);
          return true;
        });
      case wire.REQUEST.getConfig: {
        if (body.length < wire.CONFIG.size) return false;
        const { offset, size } = wire.CONFIG.read(view);
        if (offset + size > wire.MOST_CONFIG) return new Uint8Array(0);
        const answer = new Uint8Array(wire.CONFIG.size + size);
        answer.set(body.subarray(0, wire.CONFIG.size));
        answer.set(this.device.config.subarray(offset, offset + size), wire.CONFIG.size);
        return answer;
      }
      case wire.REQUEST.setConfig:
        // The drivers of 2016 write back what they have read.
        return body.length >= wire.CONFIG.size;
      default:
        return false;
    }
  }

  private setMemory(body: Uint8Array, came: Descriptors): boolean {
    if (body.length < wire.MEMORY_TABLE.size) return false;
    const { regions: count } = wire.MEMORY_TABLE.read(viewOf(body));
    if (count > wire.MOST_REGIONS || body.length < wire.MEMORY_TABLE.size + count * wire.REGION.size) return false;
    if (came.count !== count) return false;
    const table = Array.from({ length: count }, (_, index) => {
      const region = wire.REGION.read(viewOf(body), wire.MEMORY_TABLE.size + index * wire.REGION.size);
      return { region, descriptor: came.take() ?? -1 };
    });
    return this.memory.replace(table);
  }

  private setEvent(which: RingEvent, value: bigint, came: Descriptors): boolean {
    const ring = this.rings[Number(value & wire.RING_MASK)];
    const none = (value & wire.NO_DESCRIPTOR) !== 0n;
    // A ring that nobody kicks would have to be looked at all the time.
    if (!ring || came.count !== (none ? 0 : 1) || (none && which === 'kick')) return false;
    if (which === 'kick' && ring.started) return false;
    if (!ring.setEvent(which, came.take())) return false;
    if (which !== 'kick') return true;
    if ((this.features & wire.F_PROTOCOL_FEATURES) === 0n) ring.enabled = true;
    this.run(ring);
    return true;
  }

  /** Lets a ring run if it can. What is wrong with it is the driver's. */
  private run(ring: VhostRing): void {
    if (this.broken) return;
    try {
      if ((this.features & wire.F_VERSION_1) === 0n && ring.started && ring.enabled) {
        throw new ExhumeError('EXH_DEVICE_RING', 'vhost-user: a driver that knows nothing of VIRTIO_F_VERSION_1');
      }
      ring.run(this.memory);
    } catch (error) {
      if (!(error instanceof ExhumeError)) throw error;
      this.fail(error);
    }
  }

  /** When all rings stand still, the driver has reset the device, or is about to begin anew. */
  private rested(): boolean {
    if (this.rings.some(({ started }) => started)) return true;
    this.broken = false;
    this.device.reset();
    return true;
  }

  private fail(error: Error): void {
    if (this.broken) return;
    this.broken = true;
    for (const ring of this.rings) ring.break();
    this.events.broken?.(error);
  }

  private tellMemory(requests: boolean): void {
    if (this.toldMemory === requests) return;
    this.toldMemory = requests;
    if (requests) this.events.memory?.('descriptors');
    else this.events.memory?.('nothing', 'the descriptors that came do not show what the guest writes (share=off?)');
  }

  private tellSilent(): void {
    if (this.toldSilent) return;
    this.toldSilent = true;
    this.events.silent?.();
  }
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(wire.U64.size);
  wire.U64.write(viewOf(bytes), 0, { value });
  return bytes;
}

function wrong(what: string): ExhumeError {
  return new ExhumeError('EXH_DEVICE_PROTOCOL', `vhost-user: ${what}`);
}
