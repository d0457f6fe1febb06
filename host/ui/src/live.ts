// Records as they arrive. Memory is bounded however long it runs: a ring of records, and of what waits while paused.

import { type Row, route } from "./api.ts";
import { type Shown, shown } from "./records.ts";

export const RING = 10_000;
const RING_CHARS = 32 << 20;
const FLUSH_MS = 150;
const RATE_OVER_MS = 5000;

export interface Tally {
  /** Records a second of late. */
  rate: number;
  /** Records that the node could not send in time; null when it does not know how many. */
  dropped: number;
  isDroppedUnknown: boolean;
  received: number;
  isConnected: boolean;
}

/** Keeps the newest records, the newest first. */
class Ring {
  records: Shown[] = [];
  #chars = 0;

  add(fresh: Shown[]): void {
    for (const record of fresh) this.#chars += record.payload.length;
    this.records = [...fresh.reverse(), ...this.records];
    while (this.records.length > RING || (this.#chars > RING_CHARS && this.records.length > 1)) {
      this.#chars -= this.records.pop()?.payload.length ?? 0;
    }
  }
}

export class Live {
  #source: EventSource | null = null;
  #ring = new Ring();
  #fresh: Shown[] = [];
  #timer = 0;
  #times: { at: number; count: number }[] = [];
  #tally: Tally = { rate: 0, dropped: 0, isDroppedUnknown: false, received: 0, isConnected: false };
  readonly #changed: (records: readonly Shown[], fresh: number, tally: Tally) => void;
  readonly #refused: () => void;

  constructor(changed: (records: readonly Shown[], fresh: number, tally: Tally) => void, refused: () => void) {
    this.#changed = changed;
    this.#refused = refused;
  }

  start(q: string): void {
    this.stop();
    this.#ring = new Ring();
    this.#fresh = [];
    this.#times = [];
    this.#tally = { rate: 0, dropped: 0, isDroppedUnknown: false, received: 0, isConnected: false };
    const source = new EventSource(route("api/v1/tail", { q }));
    this.#source = source;
    source.addEventListener("open", () => this.#connected(true));
    source.addEventListener("error", () => {
      this.#connected(false);
      // Otherwise the browser comes back by itself, with the token of the last record.
      if (source.readyState === EventSource.CLOSED) this.#refused();
    });
    source.addEventListener("message", (event) => this.#fresh.push(shown(JSON.parse(event.data) as Row)));
    source.addEventListener("gap", (event) => {
      const gap = JSON.parse((event as MessageEvent).data) as { records: number | null };
      if (gap.records === null) this.#tally.isDroppedUnknown = true;
      else this.#tally.dropped += gap.records;
    });
    this.#timer = window.setInterval(() => this.#flush(), FLUSH_MS);
  }

  #connected(is: boolean): void {
    this.#tally.isConnected = is;
    this.#flush();
  }

  #flush(): void {
    const now = performance.now();
    const fresh = this.#fresh;
    this.#fresh = [];
    this.#times.push({ at: now, count: fresh.length });
    while (this.#times[0] && now - this.#times[0].at > RATE_OVER_MS) this.#times.shift();
    const since = Math.max(500, now - (this.#times[0]?.at ?? now));
    this.#tally.rate = this.#times.reduce((sum, { count }) => sum + count, 0) / (since / 1000);
    this.#tally.received += fresh.length;
    if (fresh.length > 0) this.#ring.add(fresh);
    this.#changed(this.#ring.records, fresh.length, this.#tally);
  }

  stop(): void {
    this.#source?.close();
    this.#source = null;
    clearInterval(this.#timer);
  }
}
