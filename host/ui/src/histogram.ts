// Counts over time, by level. Exact counts come from the node in parts, the newest first; until they are there, what
// was found is drawn. Dragging over it zooms.

import { type Histogram, isAbort, json } from "./api.ts";
import { draw, framed, make, put } from "./dom.ts";
import { compact, count, dateTime, duration, iso, relative, tick } from "./figures.ts";
import { LEVELS, type Level, type Shown } from "./records.ts";
import type { State } from "./state.ts";

const BUCKETS = 96;
const PARTS = 4;
const HEIGHT = 88;
const WIDTH = 1000;
/** A shorter way of the pointer is a click. */
const BRUSH_MIN = 4;

interface Grid {
  from_ms: number;
  width_ms: number;
  /** By bucket, then by level; of a bucket that is not exact yet what was found. */
  counts: number[][];
  isExact: boolean[];
}

export interface HistogramView {
  element: HTMLElement;
  /** Asks anew. */
  start(state: State, signal: AbortSignal): Promise<void>;
  found(records: readonly Shown[]): void;
  clear(): void;
}

export function histogramView(zoom: (from: string, to: string) => void, totals: (levels: Map<Level, number>) => void): HistogramView {
  const chart = draw("svg", { class: "bars", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": "Records over time" });
  const brush = draw("rect", { class: "brush", y: 0, height: HEIGHT, width: 0, visibility: "hidden" });
  const ticks = make("div", { class: "ticks", "aria-hidden": "true" });
  const legend = make("p", { class: "legend" });
  const top = make("span", { class: "axis-top", "aria-hidden": "true" });
  const tip = make("div", { class: "tip", hidden: true });
  const area = make("div", { class: "area" }, chart, top, tip);
  const element = make("section", { class: "histogram", "aria-label": "Histogram" }, area, ticks, legend);
  let grid: Grid | null = null;
  let utc = false;
  let asked = 0;

  const paint = framed(() => {
    if (!grid) {
      put(chart);
      put(ticks);
      put(legend);
      top.textContent = "";
      return;
    }
    const { counts, from_ms, width_ms, isExact } = grid;
    const sums = counts.map((levels) => levels.reduce((a, b) => a + b, 0));
    const most = Math.max(1, ...sums);
    const step = WIDTH / counts.length;
    const bars: SVGElement[] = [];
    for (const [at, levels] of counts.entries()) {
      let y = HEIGHT;
      for (const [level, n] of levels.entries()) {
        if (n === 0) continue;
        // A single error among a million is seen.
        const height = Math.max((n / most) * (HEIGHT - 6), 1.5);
        y -= height;
        bars.push(draw("rect", {
          class: `bar level-${LEVELS[level]}${isExact[at] ? "" : " guessed"}`, x: (at * step + step * 0.06).toFixed(2), width: (step * 0.88).toFixed(2), y: y.toFixed(2), height: height.toFixed(2),
        }));
      }
    }
    put(chart, ...bars, brush);
    top.textContent = compact(most);
    const span = width_ms * counts.length;
    const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => make("span", {}, tick(from_ms + span * part, span, utc)));
    put(ticks, ...marks);
    const byLevel = new Map(LEVELS.map((level, at) => [level, counts.reduce((sum, levels) => sum + (levels[at] ?? 0), 0)]));
    const all = sums.reduce((a, b) => a + b, 0);
    const isWhole = isExact.every(Boolean);
    put(legend, make("strong", {}, `${isWhole ? "" : "≥ "}${count(all)}`), " records",
      ...LEVELS.filter((level) => (byLevel.get(level) ?? 0) > 0).map((level) =>
        make("span", { class: `key level-${level}` }, `${level} ${compact(byLevel.get(level) ?? 0)}`)),
      make("span", { class: "bucket-width" }, `${duration(width_ms)} a bar · drag to zoom`));
    chart.setAttribute("aria-label", `Records over time: ${count(all)}, at most ${count(most)} in ${duration(width_ms)}`);
    element.dataset["exact"] = String(isWhole);
    if (isWhole) totals(byLevel);
  });

  function place(ms: number): number {
    return grid ? Math.floor((ms - grid.from_ms) / grid.width_ms) : -1;
  }

  function take(part: Histogram): void {
    if (!grid) return;
    const from = Math.max(0, place(Date.parse(part.from) + part.width_ms / 2));
    for (const bucket of part.buckets) {
      const at = Math.min(grid.counts.length - 1, Math.max(0, place(Date.parse(bucket.time) + part.width_ms / 2)));
      if (!grid.isExact[at]) {
        grid.counts[at] = LEVELS.map(() => 0);
        grid.isExact[at] = true;
      }
      const levels = grid.counts[at];
      for (const [level, n] of bucket.counts.entries()) if (levels) levels[level] = (levels[level] ?? 0) + n;
    }
    // A part of few milliseconds has fewer buckets than the grid.
    const to = place(Date.parse(part.to) - 1);
    for (let at = from; at <= Math.min(to, grid.isExact.length - 1); at += 1) {
      if (!grid.isExact[at]) grid.counts[at] = LEVELS.map(() => 0);
      grid.isExact[at] = true;
    }
    paint();
  }

  function gridOf(from_ms: number, to_ms: number): Grid {
    const buckets = Math.max(1, Math.min(BUCKETS, to_ms - from_ms));
    const width_ms = Math.max(1, Math.ceil((to_ms - from_ms) / buckets));
    const n = Math.max(1, Math.ceil((to_ms - from_ms) / width_ms));
    return { from_ms, width_ms, counts: Array.from({ length: n }, () => LEVELS.map(() => 0)), isExact: Array.from({ length: n }, () => false) };
  }

  async function start(state: State, signal: AbortSignal): Promise<void> {
    asked += 1;
    const mine = asked;
    utc = state.utc;
    element.hidden = false;
    const now = Date.now();
    const end = endOf(state.to, now, now);
    const begin = state.from ? endOf(state.from, now, null) : null;
    const isKnown = begin !== null && end !== null && begin < end;
    grid = isKnown ? gridOf(begin, end) : null;
    paint();
    try {
      if (!grid) {
        const whole = await json<Histogram>("api/v1/histogram", { q: state.q, from: state.from, to: state.to, buckets: BUCKETS }, signal);
        if (mine !== asked) return;
        grid = gridOf(Date.parse(whole.from), Date.parse(whole.to));
        take(whole);
        return;
      }
      const { from_ms, width_ms, counts } = grid;
      const size = Math.ceil(counts.length / PARTS);
      for (let to = counts.length; to > 0; to -= size) {
        const from = Math.max(0, to - size);
        const isLast = to === counts.length;
        const part = await json<Histogram>("api/v1/histogram", {
          q: state.q, from: iso(from_ms + from * width_ms), to: isLast ? (state.to && state.to !== "now" ? iso(end ?? 0) : iso((end ?? 0) + 1)) : iso(from_ms + to * width_ms), buckets: to - from,
        }, signal);
        if (mine !== asked) return;
        take(part);
      }
    } catch (error) {
      if (mine !== asked || isAbort(error)) return;
      grid = null;
      paint();
      legend.textContent = `No histogram: ${(error as Error).message}`;
    }
  }

  let from = 0;
  let isBrushing = false;
  const at = (event: PointerEvent) => {
    const box = chart.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  chart.addEventListener("pointerdown", (event) => {
    if (!grid || event.button !== 0) return;
    from = at(event);
    isBrushing = true;
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (!grid) return;
    const to = at(event);
    if (isBrushing) {
      brush.setAttribute("visibility", "visible");
      brush.setAttribute("x", String(Math.min(from, to) * WIDTH));
      brush.setAttribute("width", String(Math.abs(to - from) * WIDTH));
    }
    const bucket = Math.min(grid.counts.length - 1, Math.floor(to * grid.counts.length));
    const levels = grid.counts[bucket] ?? [];
    const parts = LEVELS.flatMap((level, index) => (levels[index] ? [`${level} ${count(levels[index])}`] : []));
    tip.hidden = false;
    tip.textContent = `${dateTime(grid.from_ms + bucket * grid.width_ms, utc)} · ${parts.join(", ") || "nothing"}`;
    tip.style.left = `${to * 100}%`;
    tip.classList.toggle("left", to > 0.5);
  });
  const leave = () => {
    tip.hidden = true;
  };
  chart.addEventListener("pointerleave", leave);
  chart.addEventListener("pointercancel", () => {
    isBrushing = false;
    brush.setAttribute("visibility", "hidden");
  });
  chart.addEventListener("pointerup", (event) => {
    if (!grid || !isBrushing) return;
    isBrushing = false;
    brush.setAttribute("visibility", "hidden");
    const to = at(event);
    if (Math.abs(to - from) * chart.getBoundingClientRect().width < BRUSH_MIN) return;
    const span = grid.counts.length * grid.width_ms;
    const ends = [Math.min(from, to), Math.max(from, to)].map((part) => Math.round((grid?.from_ms ?? 0) + part * span));
    zoom(iso(ends[0] ?? 0), iso(Math.max(ends[1] ?? 0, (ends[0] ?? 0) + 1)));
  });

  return {
    element,
    start,
    found(records) {
      if (!grid) return;
      for (const record of records) {
        const index = place(record.ms);
        const levels = grid.counts[index];
        const level = LEVELS.indexOf(record.level);
        if (levels && !grid.isExact[index]) levels[level] = (levels[level] ?? 0) + 1;
      }
      paint();
    },
    clear() {
      asked += 1;
      grid = null;
      element.hidden = true;
      paint();
    },
  };
}

/** A time of the range in milliseconds; null where only the node can tell. */
function endOf(text: string, now: number, open: number | null): number | null {
  if (!text) return open;
  if (text === "now") return now;
  const back = relative(text);
  if (back !== null) return now - back;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
