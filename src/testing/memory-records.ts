import type { NewRecord, RecordStore, Refusal, StoredRecord, Written } from '../pstore/record-store.js';

/** Records in memory, for tests of what speaks to a store. */
export class MemoryRecords implements RecordStore {
  readonly records: StoredRecord[] = [];
  /** What the next write is refused with. */
  refuses: Refusal | undefined;
  private pass: StoredRecord[] = [];
  private lastId = 0;

  reset(): void {
    this.pass = [];
  }

  open(): boolean {
    this.pass = [...this.records];
    return true;
  }

  close(): void {
    this.pass = [];
  }

  next(most: number): StoredRecord | undefined {
    const at = this.pass.findIndex(({ data }) => data.length > 0 && data.length <= most);
    return this.pass.splice(0, at < 0 ? this.pass.length : at + 1)[at];
  }

  write(record: NewRecord): Written {
    if (this.refuses) return { error: this.refuses };
    const id = ++this.lastId;
    const time = { seconds: 1_700_000_000 + id, nanoseconds: id };
    this.records.push({ ...record, id, count: 0, time, data: record.data.slice() });
    return { id };
  }

  erase(type: number, id: number): boolean {
    const at = this.records.findIndex((one) => one.type === type && one.id === id);
    if (at >= 0) this.records.splice(at, 1);
    return at >= 0;
  }
}
