// Records as they arrive. Memory is bounded however long it runs: a ring of records, and of what waits while paused.

import { ApiError, type Row, eachLines, reach, route } from "./api.ts";
import { type Shown, shown } from "./records.ts";

export const RING = 10_000;
const RING_CHARS = 32 << 20;
const FLUSH_MS = 150;
const RATE_OVER_MS = 5000;
/** Pause before the node is asked again when the connection is lost. */
const AGAIN_MS = 1000;

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

/** The connection broke behind this event. */
class Interrupted extends Error {
  readonly last: string;

  constructor(last: string, cause: unknown) {
    super("interrupted", { cause });
    this.last = last;
  }
}

export class Live {
  #running: AbortController | null = null;
  #ring = new Ring();
  #fresh: Shown[] = [];
  #timer = 0;
  #times: { at: number; count: number }[] = [];
  #tally: Tally = { rate: 0, dropped: 0, isDroppedUnknown: false, received: 0, isConnected: false };
  readonly #changed: (records: readonly Shown[], fresh: number, tally: Tally) => void;
  readonly #refused: (error: ApiError) => void;

  constructor(changed: (records: readonly Shown[], fresh: number, tally: Tally) => void, refused: (error: ApiError) => void) {
    this.#changed = changed;
    this.#refused = refused;
  }

  start(q: string): void {
    this.stop();
    this.#ring = new Ring();
    this.#fresh = [];
    this.#times = [];
    this.#tally = { rate: 0, dropped: 0, isDroppedUnknown: false, received: 0, isConnected: false };
    const running = new AbortController();
    this.#running = running;
    void this.#follow(q, running.signal);
    this.#timer = window.setInterval(() => this.#flush(), FLUSH_MS);
  }

  /** As a browser's EventSource does, which cannot show a token: comes back by itself, with the id of the last event. */
  async #follow(q: string, signal: AbortSignal): Promise<void> {
    let last = "";
    while (!signal.aborted) {
      try {
        const response = await reach(route("api/v1/tail", { q }), signal, last ? { "Last-Event-ID": last } : {});
        this.#connected(true);
        last = await this.#events(response, last);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.code === "bad_resume_token" && last) {
          last = "";
          this.#tally.isDroppedUnknown = true;
          continue;
        }
        if (error instanceof ApiError && error.status !== undefined && error.status !== 503) {
          this.#connected(false);
          this.#refused(error);
          return;
        }
        if (error instanceof Interrupted) last = error.last;
      }
      if (signal.aborted) return;
      this.#connected(false);
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }

  /** Takes events until they end; gives the last id. */
  async #events(response: Response, last: string): Promise<string> {
    let kind = "";
    let data = "";
    try {
      await eachLines(response.body, (lines) => {
        for (const line of lines) {
          if (line === "") {
            if (data) this.#event(kind, data);
            kind = data = "";
          } else if (line.startsWith("data: ")) data += line.slice(6);
          else if (line.startsWith("event: ")) kind = line.slice(7);
          else if (line.startsWith("id: ")) last = line.slice(4);
        }
      });
    } catch (error) {
      throw new Interrupted(last, error);
    }
    return last;
  }

  #event(kind: string, data: string): void {
    if (kind === "") this.#fresh.push(shown(JSON.parse(data) as Row));
    if (kind !== "gap") return;
    const gap = JSON.parse(data) as { records: number | null };
    if (gap.records === null) this.#tally.isDroppedUnknown = true;
    else this.#tally.dropped += gap.records;
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
    this.#running?.abort();
    this.#running = null;
    clearInterval(this.#timer);
  }
}
