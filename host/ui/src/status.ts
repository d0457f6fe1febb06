// How an answer came about, and what it lacks.

import type { ApiError, Stats } from "./api.ts";
import { make, put } from "./dom.ts";
import { bytes, count, dateTime, duration } from "./figures.ts";

const MISSING_SHOWN = 5;

export interface StatusView {
  /** One line of figures; opens to all of them. */
  element: HTMLElement;
  /** What is missing, and what went wrong. */
  banner: HTMLElement;
  text(words: string): void;
  stats(stats: Stats, words: string): void;
  missing(stats: Stats, utc: boolean): void;
  failed(error: ApiError | Error): void;
  clear(): void;
}

export function statusView(): StatusView {
  const line = make("summary");
  // For those who hear the page: figures of an answer once it is there, not each step on the way.
  const said = make("p", { class: "unseen", role: "status", "aria-live": "polite" });
  const table = make("div", { class: "stats-table" });
  const element = make("details", { class: "stats" }, line, table);
  const place = make("div", { class: "stats-place" }, said, element);
  const banner = make("div", { class: "banners" });

  return {
    element: place,
    banner,
    text(words) {
      put(line, words);
      element.dataset["state"] = "running";
      put(table);
    },
    stats(stats, words) {
      const looked = stats.bytes_scanned + stats.bytes_skipped;
      const share = stats.bytes_skipped > 0 ? `, ${bytes(stats.bytes_skipped)} skipped (${Math.floor((stats.bytes_skipped / looked) * 100)} %)` : "";
      put(line, make("strong", {}, words), ` in ${duration(stats.duration_ms)} · ${bytes(stats.bytes_scanned)} scanned${share}`,
        stats.complete ? null : make("span", { class: "incomplete" }, "incomplete"));
      element.dataset["state"] = "done";
      said.textContent = line.textContent;
      const stages = Object.entries(stats.stages ?? {}).filter(([, us]) => us > 0).map(([name, us]) => row(name.replace(/_us$/, ""), duration(us / 1000)));
      put(table,
        group("Found", [row("records matched", count(stats.records_matched)), row("records tested", count(stats.records_scanned)), row("repeats left out", count(stats.repeats)), row("same id, other bytes", count(stats.conflicts))]),
        group("Read", [row("bytes tested", bytes(stats.bytes_scanned)), row("segments", count(stats.segments_scanned)), row("blocks", count(stats.batches_scanned)), row("pieces of logs", count(stats.pieces_scanned))]),
        group("Skipped", [row("bytes", bytes(stats.bytes_skipped)), row("of them by filters", bytes(stats.bytes_pruned)), row("segments", count(stats.segments_skipped)), row("blocks", count(stats.batches_skipped))]),
        group("Where the time went", stages));
    },
    missing(stats, utc) {
      if (stats.complete) return;
      const parts = stats.missing.slice(0, MISSING_SHOWN).map((part) => {
        const from = part.from ? dateTime(Date.parse(part.from), utc) : "the beginning";
        const to = part.to ? dateTime(Date.parse(part.to), utc) : "now";
        return make("li", {}, make("code", {}, part.node || "this node"), part.place ? ` (${part.place})` : "", ` from ${from} to ${to}: ${part.why}`);
      });
      const more = stats.missing.length - parts.length + stats.missing_more;
      if (more > 0) parts.push(make("li", {}, `and ${count(more)} more parts`));
      banner.append(make("section", { class: "notice warn", role: "alert", id: "missing" },
        make("p", {}, make("strong", {}, "This answer is incomplete."), " Records of these nodes and times are missing:"), make("ul", {}, ...parts)));
    },
    failed(error) {
      const hint = "hint" in error && error.hint ? make("p", {}, String(error.hint)) : null;
      banner.append(make("section", { class: "notice bad", role: "alert", id: "problem" }, make("p", {}, make("strong", {}, error.message)), hint));
    },
    clear() {
      put(banner);
      put(line);
      put(table);
      element.open = false;
      delete element.dataset["state"];
    },
  };
}

function row(name: string, value: string): HTMLElement {
  return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value));
}

function group(name: string, rows: HTMLElement[]): HTMLElement {
  return make("table", {}, make("caption", {}, name), make("tbody", {}, ...rows));
}
