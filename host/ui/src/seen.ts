// What is known of the node's records: its streams, and the fields of what was found. For completion and columns.

import { type StreamInfo, json } from "./api.ts";
import { type Shown, fieldsOf } from "./records.ts";

const VALUES_MAX = 50;
const VALUE_LENGTH_MAX = 80;
const FIELDS_MAX = 500;
const FRESH_MS = 30_000;
/** Of the records found in one go, so many are looked into. */
const SAMPLE = 50;

export class Seen {
  #streams: StreamInfo[] = [];
  readonly #fields = new Map<string, Map<string, number>>();

  #asked = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> = Promise.resolve();

  /** Has the streams of the node, not older than half a minute. Without an answer the page works with what it finds. */
  load(): Promise<void> {
    if (performance.now() - this.#asked > FRESH_MS) {
      this.#asked = performance.now();
      this.#loading = json<{ streams: StreamInfo[] }>("api/v1/streams").then((answer) => {
        this.#streams = answer.streams;
      }, () => {});
    }
    return this.#loading;
  }

  /** Looks into some records. */
  learn(records: readonly Shown[]): void {
    const step = Math.max(1, Math.ceil(records.length / SAMPLE));
    for (let at = 0; at < records.length; at += step) {
      const record = records[at];
      if (!record) continue;
      for (const [name, value] of fieldsOf(record.payload)) this.#count(name, value);
    }
  }

  #count(name: string, value: string): void {
    let values = this.#fields.get(name);
    if (!values) {
      if (this.#fields.size >= FIELDS_MAX || !/^[\p{L}_@][\p{L}\p{N}_.@-]*$/u.test(name)) return;
      values = new Map();
      this.#fields.set(name, values);
    }
    if (value.length > VALUE_LENGTH_MAX) return;
    if (values.has(value) || values.size < VALUES_MAX) values.set(value, (values.get(value) ?? 0) + 1);
  }

  topics(): string[] {
    const sums = new Map<string, number>();
    for (const stream of this.#streams) sums.set(stream.topic, (sums.get(stream.topic) ?? 0) + (stream.records ?? 0));
    return [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([topic]) => topic);
  }

  labels(): string[] {
    return [...new Set(this.#streams.flatMap((stream) => Object.keys(stream.labels)))].sort();
  }

  labelValues(name: string): string[] {
    const values = this.#streams.map((stream) => stream.labels[name]).filter((value) => value !== undefined);
    return [...new Set(values)].sort();
  }

  /** Names of fields, the most frequent first. */
  fields(): string[] {
    return [...this.#fields.keys()];
  }

  /** Values of a field, the most frequent first. */
  fieldValues(name: string): string[] {
    const values = this.#fields.get(name) ?? new Map<string, number>();
    return [...values].sort((a, b) => b[1] - a[1]).map(([value]) => value);
  }

  /** How a query names a field of the payload: a label of the same name would stand in for it. */
  nameOf(field: string): string {
    return field === "topic" || field === "level" || this.labels().includes(field) ? `field.${field}` : field;
  }
}
