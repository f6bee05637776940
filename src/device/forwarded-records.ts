import type { NewRecord, RecordStore, StoredRecord, Written } from '../pstore/record-store.js';

/** A guest's records, handed on as they are. */
export class ForwardedRecords implements RecordStore {
  constructor(protected readonly store: RecordStore) {}

  reset(): void {
    this.store.reset();
  }

  open(): boolean | Promise<boolean> {
    return this.store.open();
  }

  close(): void {
    this.store.close();
  }

  next(most: number): StoredRecord | undefined | Promise<StoredRecord | undefined> {
    return this.store.next(most);
  }

  write(record: NewRecord, again?: boolean): Written | Promise<Written> {
    return this.store.write(record, again);
  }

  erase(type: number, id: number): boolean | Promise<boolean> {
    return this.store.erase(type, id);
  }
}
