// The answer of a filter that sums up: a chart, and a table that can be sorted.

import { type Cells, barChart, lineChart, spreadChart } from "./chart.ts";
import { button, make, put } from "./dom.ts";
import { count, dateTime, number } from "./figures.ts";
import { SUMS } from "./filters.ts";
import { condition, filtersOf, quoted } from "./language.ts";
import { type Shown, visible } from "./records.ts";

const ROWS_SHOWN = 1000;
const MEASURES = new Set(["count", "share_percent", "min", "max", "avg", "p50", "p95", "p99"]);
/** Columns that are neither numbers nor values of the records. */
const WORDS = new Set(["pattern", "example", "line", "first", "last", "time"]);

/** Whether the answer to a query is a table. */
export function isSum(query: string, aggregates: readonly string[]): boolean {
  return filtersOf(query).some((name) => SUMS.has(name) || aggregates.includes(name));
}

export interface SumsView {
  element: HTMLElement;
  show(records: readonly Shown[], utc: boolean, range: [number, number] | null): void;
  /** What is shown, for a file. */
  rows(): { columns: string[]; rows: Cells[] };
  clear(): void;
}

/** `drill` is given conditions: it asks for the records behind a row. */
export function sumsView(drill: (conditions: string[]) => void): SumsView {
  const element = make("section", { class: "sums", "aria-label": "Sums", tabindex: 0, hidden: true });
  let columns: string[] = [];
  let rows: Cells[] = [];
  let order: { column: string; isDown: boolean } | null = null;
  let utc = false;
  let range: [number, number] | null = null;

  function names(): string[] {
    return columns.filter((column) => !MEASURES.has(column) && !WORDS.has(column));
  }

  function conditionsOf(row: Cells): string[] {
    if (typeof row["pattern"] === "string") return patternOf(row["pattern"]);
    if (typeof row["line"] === "string") return [quoted(row["line"])];
    return names().flatMap((name) => (row[name] === null || row[name] === undefined ? [] : [condition(name, String(row[name]))]));
  }

  function draw(): void {
    const chart = chartOf();
    const head = columns.map((column) => {
      const sorted = order?.column === column ? (order.isDown ? "descending" : "ascending") : "none";
      return make("th", { scope: "col", "aria-sort": sorted, class: isNumber(column) ? "number" : "" },
        button(column, () => {
          order = { column, isDown: order?.column === column ? !order.isDown : isNumber(column) };
          draw();
        }, { class: "plain" }));
    });
    const most = Math.max(1, ...rows.map((row) => Number(row["count"]) || 0));
    const body = sorted().slice(0, ROWS_SHOWN).map((row) =>
      make("tr", {}, ...columns.map((column) => cell(row, column, most)),
        make("td", { class: "signs" }, conditionsOf(row).length > 0 ? button("Records", () => drill(conditionsOf(row)), { class: "drill" }) : null)));
    put(element, chart,
      make("div", { class: "table-box" }, make("table", { class: "sum-table" }, make("caption", { class: "unseen" }, "Sums"),
        make("thead", {}, make("tr", {}, ...head, make("td", {}))), make("tbody", {}, ...body))),
      rows.length > ROWS_SHOWN ? make("p", { class: "dim" }, `The first ${count(ROWS_SHOWN)} of ${count(rows.length)} rows; the download has all.`) : null);
  }

  function chartOf(): HTMLElement | null {
    if (rows.length === 0) return null;
    if (columns.includes("time")) {
      const measures = ["p50", "p95", "p99", "avg"].filter((name) => columns.includes(name));
      return lineChart(rows, names(), names().length > 0 ? ["p95", "count"].filter((name) => columns.includes(name)) : measures.length > 0 ? measures : ["count"], utc, range);
    }
    if (columns.includes("p95")) return spreadChart(sorted(), names());
    const labels = columns.includes("pattern") ? ["pattern"] : columns.includes("line") ? ["line"] : names();
    if (columns.includes("count") && labels.length > 0) return barChart(sorted(), labels, "count");
    if (columns.includes("count") && rows.length === 1) {
      return make("p", { class: "one-number" }, make("strong", {}, count(Number(rows[0]?.["count"]))), " records");
    }
    return null;
  }

  function isNumber(column: string): boolean {
    return MEASURES.has(column) || rows.every((row) => row[column] === null || typeof row[column] === "number");
  }

  function sorted(): Cells[] {
    if (!order) return rows;
    const { column, isDown } = order;
    const sign = isDown ? -1 : 1;
    return [...rows].sort((a, b) => {
      const [x, y] = [a[column], b[column]];
      const isLess = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return sign * isLess;
    });
  }

  function cell(row: Cells, column: string, most: number): HTMLElement {
    const value = row[column];
    if (value === null || value === undefined) return make("td", { class: "dim" }, "–");
    if (typeof value !== "number") {
      const time = column === "time" || column === "first" || column === "last" ? Date.parse(String(value)) : Number.NaN;
      return make("td", { class: WORDS.has(column) ? "words" : "" }, Number.isNaN(time) ? visible(String(value)) : dateTime(time, utc));
    }
    const one = make("td", { class: "number" }, column === "count" ? count(value) : column === "share_percent" ? `${number(value)} %` : number(value));
    if (column === "count") {
      const bar = make("span", { class: "cell-bar" });
      bar.style.width = `${(value / most) * 100}%`;
      one.prepend(bar);
    }
    return one;
  }

  return {
    element,
    show(records, inUtc, of) {
      utc = inUtc;
      range = of;
      rows = [];
      const found = new Set<string>();
      for (const record of records) {
        try {
          const row = JSON.parse(record.payload) as Cells;
          rows.push(row);
          for (const column of Object.keys(row)) found.add(column);
        } catch {
          rows.push({ line: record.payload });
          found.add("line");
        }
      }
      columns = [...found];
      order = null;
      element.hidden = false;
      draw();
    },
    rows: () => ({ columns, rows: sorted() }),
    clear() {
      element.hidden = true;
      rows = [];
      columns = [];
      put(element);
    },
  };
}

/** What records of a pattern have in common: its longest parts. */
function patternOf(pattern: string): string[] {
  const parts = pattern.split("<*>").map((part) => part.trim()).filter((part) => part.length > 2);
  return parts.sort((a, b) => b.length - a.length).slice(0, 3).map((part) => `"${part.replace(/[\\"]/g, "\\$&")}"`);
}
