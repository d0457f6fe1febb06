// Drawings of what a query sums up: bars, lines over time, spreads.

import { draw, make } from "./dom.ts";
import { compact, dateTime, number, tick } from "./figures.ts";

const WIDTH = 1000;
const HEIGHT = 220;
const BARS_MAX = 15;
const SERIES_MAX = 8;

export type Cells = Record<string, unknown>;

const numberOf = (cells: Cells, name: string): number => Number(cells[name] ?? Number.NaN);

/** A bar for each row, the first ones. */
export function barChart(rows: readonly Cells[], names: string[], measure: string): HTMLElement {
  const shown = rows.slice(0, BARS_MAX);
  const most = Math.max(1e-9, ...shown.map((row) => numberOf(row, measure)));
  const lines = shown.map((row) => {
    const bar = make("span", { class: "hbar" });
    bar.style.width = `${(numberOf(row, measure) / most) * 100}%`;
    return make("li", {}, make("span", { class: "hname" }, nameOf(row, names)), make("span", { class: "htrack" }, bar), make("span", { class: "hvalue" }, compact(numberOf(row, measure))));
  });
  return make("ol", { class: "hbars", "aria-label": `${measure} by ${names.join(", ") || "all"}` }, ...lines);
}

export function nameOf(row: Cells, names: string[]): string {
  return names.map((name) => (row[name] === null || row[name] === undefined ? "(none)" : String(row[name]))).join(" · ") || "all";
}

/** Lines over time: one for each group, or, without groups, for each measure. */
export function lineChart(rows: readonly Cells[], names: string[], measures: string[], utc: boolean, range: [number, number] | null): HTMLElement {
  const series = new Map<string, [number, number][]>();
  for (const row of rows) {
    const ms = Date.parse(String(row["time"]));
    const groups = names.length > 0 ? [[nameOf(row, names), numberOf(row, measures[0] ?? "count")] as const] : measures.map((measure) => [measure, numberOf(row, measure)] as const);
    for (const [name, value] of groups) {
      if (!Number.isFinite(value) || !Number.isFinite(ms)) continue;
      if (!series.has(name) && series.size >= SERIES_MAX) continue;
      series.set(name, [...(series.get(name) ?? []), [ms, value]]);
    }
  }
  const points = [...series.values()].flat();
  const times = points.map(([ms]) => ms);
  const from = Math.min(range?.[0] ?? Number.POSITIVE_INFINITY, ...times);
  const to = Math.max(range?.[1] ?? from + 1, from + 1, ...times);
  const most = Math.max(1e-9, ...points.map(([, value]) => value));
  const x = (ms: number) => ((ms - from) / (to - from)) * WIDTH;
  const y = (value: number) => HEIGHT - 4 - (Math.max(0, value) / most) * (HEIGHT - 12);
  const grid = [0.25, 0.5, 0.75].map((part) => draw("line", { class: "grid", x1: 0, x2: WIDTH, y1: y(most * part), y2: y(most * part) }));
  const lines = [...series].map(([, list], at) => {
    const sorted = list.sort((a, b) => a[0] - b[0]);
    if (sorted.length === 1) return draw("circle", { class: `dot series-${at}`, cx: x(sorted[0]?.[0] ?? 0), cy: y(sorted[0]?.[1] ?? 0), r: 3.5 });
    return draw("polyline", { class: `line series-${at}`, points: sorted.map(([ms, value]) => `${x(ms).toFixed(1)},${y(value).toFixed(1)}`).join(" ") });
  });
  const title = names.length > 0 ? `${measures[0]} by ${names.join(", ")}` : measures.join(", ");
  const drawing = draw("svg", { class: "lines", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title} over time` }, ...grid, ...lines);
  const span = to - from;
  return make("figure", { class: "line-chart" },
    make("div", { class: "area" }, drawing, make("span", { class: "axis-top", "aria-hidden": "true" }, number(most))),
    make("div", { class: "ticks", "aria-hidden": "true" }, ...[0, 0.5, 1].map((part) => make("span", { title: dateTime(from + span * part, utc) }, tick(from + span * part, span, utc)))),
    make("figcaption", {}, make("strong", {}, title), ...[...series.keys()].map((name, at) => make("span", { class: `key series-${at}` }, name))));
}

/** For each row from the least to the greatest value, the middle of the numbers thick, the 50th percentile marked. */
export function spreadChart(rows: readonly Cells[], names: string[]): HTMLElement {
  const shown = rows.slice(0, BARS_MAX);
  const most = Math.max(1e-9, ...shown.map((row) => numberOf(row, "max")));
  const least = Math.min(0, ...shown.map((row) => numberOf(row, "min")));
  const x = (value: number) => ((value - least) / (most - least)) * WIDTH;
  const lines = shown.map((row) => {
    const [min, max, p50, p95, p99] = ["min", "max", "p50", "p95", "p99"].map((name) => x(numberOf(row, name)));
    const drawing = draw("svg", { class: "spread", viewBox: `0 0 ${WIDTH} 16`, preserveAspectRatio: "none", "aria-hidden": "true" },
      draw("line", { class: "whisker", x1: min, x2: max, y1: 8, y2: 8 }),
      draw("rect", { class: "box-95", x: p50, width: Math.max(2, (p95 ?? 0) - (p50 ?? 0)), y: 3, height: 10 }),
      draw("rect", { class: "box-50", x: (p50 ?? 0) - 1.5, width: 3, y: 1, height: 14 }),
      draw("rect", { class: "box-99", x: (p99 ?? 0) - 1, width: 2, y: 4, height: 8 }));
    return make("li", {}, make("span", { class: "hname" }, nameOf(row, names)), make("span", { class: "htrack" }, drawing),
      make("span", { class: "hvalue" }, `${number(numberOf(row, "p50"))} / ${number(numberOf(row, "p95"))}`));
  });
  return make("ol", { class: "hbars spreads", "aria-label": "50th and 95th percentile" }, ...lines);
}
