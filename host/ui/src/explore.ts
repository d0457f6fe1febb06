// The view of a search: asks, and shows what comes as it comes.

import { ApiError, type Stats, idAfter, isAbort, query } from "./api.ts";
import { contextView } from "./context.ts";
import { button, framed, make, put } from "./dom.ts";
import { type Format, recordsAs, save, sumsAs } from "./download.ts";
import { facetsView } from "./facets.ts";
import { compact, count } from "./figures.ts";
import { histogramView } from "./histogram.ts";
import { narrowed, split } from "./language.ts";
import { Live, type Tally } from "./live.ts";
import { type Shown, shown } from "./records.ts";
import { results } from "./results.ts";
import type { Seen } from "./seen.ts";
import { LIMITS, type State, toUrl } from "./state.ts";
import { statusView } from "./status.ts";
import { isSum, sumsView } from "./sums.ts";

/** Text kept of one answer, in characters: beyond it the search ends and says so. */
const KEPT_CHARS = 128 << 20;

export interface Explore {
  element: HTMLElement;
  start(state: State): void;
  stop(): void;
  /** Leaves the view: nothing is asked any more. */
  leave(): void;
  /** Shows the same answer otherwise. */
  look(state: State): void;
  keys: {
    step(rows: number): void;
    error(direction: 1 | -1): void;
    toggle(): void;
    pause(): void;
    close(): boolean;
  };
}

interface Shell {
  seen: Seen;
  aggregates(): readonly string[];
  /** Searches anew with this change. */
  change(change: Partial<State>): void;
  /** Shows the same otherwise. */
  restyle(change: Partial<State>): void;
  running(is: boolean): void;
  wrong(error: ApiError): void;
}

export function explore(shell: Shell): Explore {
  let state: State;
  let running: AbortController | null = null;
  let side: AbortController | null = null;
  let records: Shown[] = [];
  let stats: Stats | null = null;
  let chars = 0;
  let paused: { total: number } | null = null;
  let newest: { records: readonly Shown[]; received: number } = { records: [], received: 0 };

  const status = statusView();
  const histogram = histogramView((from, to) => shell.change({ from, to, live: false }), (levels) => facets.levels(levels));
  const toggled = (list: string[], name: string) => (list.includes(name) ? list.filter((other) => other !== name) : [...list, name]);
  const actions = {
    seen: shell.seen,
    narrow: (condition: string, isOut: boolean) => shell.change({ q: narrowed(state.q, condition, isOut) }),
    column: (name: string) => shell.restyle({ columns: toggled(state.columns, name) }),
    facet: (name: string) => shell.restyle({ facets: toggled(state.facets, name) }),
    around: (record: Shown) => shell.restyle({ around: record.id }),
    link: (record: Shown) => toUrl({ ...state, q: "", from: record.id, to: idAfter(record.id), live: false, around: record.id }),
  };
  const facets = facetsView(shell.seen, { narrow: actions.narrow, choose: actions.facet });
  const list = results(actions, (isAtTop) => {
    if (!state?.live) return;
    if (!isAtTop && !paused) pause();
    else if (isAtTop && paused) resume();
  });
  const sums = sumsView((conditions) => shell.change({ q: conditions.reduce((q, one) => narrowed(q, one), split(state.q).search) }));
  const context = contextView({ ...actions, settings: () => ({ mark: null, columns: [], wrap: true, utc: state.utc }) }, () => {
    if (state.around) shell.restyle({ around: "" });
  });
  const live = new Live(arrived, refused);

  // The line above the list.
  const order = make("select", { "aria-label": "Order", onchange: () => shell.change({ order: order.value === "asc" ? "asc" : "desc" }) },
    make("option", { value: "desc" }, "Newest first"), make("option", { value: "asc" }, "Oldest first"));
  const limit = make("select", { "aria-label": "Records at most", onchange: () => shell.change({ limit: Number(limit.value) }) },
    ...LIMITS.map((n) => make("option", { value: n }, `${compact(n)} records`)));
  const wrap = make("input", { type: "checkbox", id: "wrap", onchange: () => shell.restyle({ wrap: wrap.checked }) });
  const liveButton = button("Live", () => shell.change({ live: !state.live }), { id: "live", class: "live", "aria-pressed": "false" });
  const pauseButton = button("Pause", () => (paused ? resume() : pause()), { id: "pause", hidden: true });
  const rate = make("span", { class: "rate", id: "rate", hidden: true });
  const news = button("", () => resume(), { id: "news", class: "news", hidden: true });
  const saver = make("details", { class: "saver" }, make("summary", { class: "button" }, "Download"),
    make("div", { class: "popover", role: "group", "aria-label": "Download what is shown" },
      ...(["text", "ndjson", "csv"] as Format[]).map((format) => button(format, () => keep(format), { "data-format": format }))));
  const facetsButton = button("Values", () => {
    element.classList.toggle("with-facets");
  }, { class: "facets-button" });
  const more = button("", () => loadMore(), { id: "more", class: "more", hidden: true });
  const empty = make("section", { class: "empty", hidden: true });
  const bar = make("div", { class: "bar" }, liveButton, pauseButton, rate, status.element, make("span", { class: "spring" }),
    facetsButton, order, limit, make("label", { class: "tick" }, wrap, "Wrap"), saver);
  const body = make("div", { class: "list-place" }, list.element, sums.element, empty, news, more);
  const element = make("div", { class: "explore" }, facets.element, make("div", { class: "column" }, status.banner, histogram.element, bar, body), context.element);

  const showRows = framed(() => {
    if (!running && records.length === 0) return;
    list.show(records, true);
  });

  function start(next: State): void {
    stop();
    look(next);
    records = [];
    chars = 0;
    stats = null;
    paused = null;
    newest = { records: [], received: 0 };
    status.clear();
    list.clear();
    sums.clear();
    for (const hidden of [empty, more, news, rate, pauseButton]) hidden.hidden = true;
    side = new AbortController();
    element.classList.toggle("is-live", next.live);
    if (next.live) return startLive(next);
    const isTable = isSum(next.q, shell.aggregates());
    element.classList.toggle("is-sum", isTable);
    list.element.hidden = isTable;
    void histogram.start(next, side.signal);
    facets.clear();
    void search(next, isTable, next.from, next.to);
  }

  async function search(next: State, isTable: boolean, from: string, to: string): Promise<void> {
    const mine = new AbortController();
    running = mine;
    shell.running(true);
    status.text("Searching…");
    element.setAttribute("aria-busy", "true");
    let isFull = false;
    try {
      const params = { q: next.q, from, to, order: next.order, limit: isTable ? undefined : next.limit };
      stats = await query(params, mine.signal, (rows) => {
        const fresh = rows.map(shown);
        for (const record of fresh) chars += record.payload.length;
        records.push(...fresh);
        if (!isTable) {
          histogram.found(fresh);
          shell.seen.learn(fresh);
          showRows();
          status.text(`${count(records.length)} records, searching…`);
        }
        if (chars > KEPT_CHARS) {
          isFull = true;
          mine.abort();
        }
      });
      finish(next, isTable);
    } catch (error) {
      if (running !== mine) return;
      if (isAbort(error)) {
        status.text(isFull ? `${count(records.length)} records; stopped, for the page keeps ${KEPT_CHARS >> 20} million characters: narrow the search` : `${count(records.length)} records; stopped`);
        if (!isTable) list.show(records, true);
      } else {
        failed(error as Error);
      }
    }
    if (running !== mine) return;
    running = null;
    shell.running(false);
    element.removeAttribute("aria-busy");
    await shell.seen.load();
    if (running === null && state === next && !isTable && side && !side.signal.aborted) facets.start(next, side.signal);
  }

  function finish(next: State, isTable: boolean): void {
    if (!stats) return;
    status.missing(stats, next.utc);
    if (isTable) {
      const ends = [stats.from, stats.to].map((end) => Date.parse(end ?? ""));
      sums.show(records, next.utc, ends.some(Number.isNaN) ? null : [ends[0] ?? 0, ends[1] ?? 0]);
      status.stats(stats, `${count(records.length)} ${records.length === 1 ? "row" : "rows"} of ${count(stats.records_scanned)} records`);
    } else {
      list.show(records, true);
      status.stats(stats, `${count(records.length)} ${records.length === 1 ? "record" : "records"}`);
      more.hidden = !stats.limited;
      more.textContent = next.order === "desc" ? "Load older records" : "Load newer records";
    }
    if (records.length === 0) nothing(next);
  }

  function failed(error: Error): void {
    side?.abort();
    histogram.clear();
    status.clear();
    // Where a query is wrong is said below it.
    if (error instanceof ApiError && error.column !== undefined) shell.wrong(error);
    else status.failed(error);
  }

  function nothing(next: State): void {
    empty.hidden = false;
    put(empty, make("h2", {}, "Nothing found"),
      make("p", {}, next.q ? "Words must stand whole; write ~word for any case, or \"text\" for a part of a word." : "No record came in this time."),
      next.from ? button("Search all time", () => shell.change({ from: "", to: "" })) : null);
  }

  /** The records behind the last one shown. */
  function loadMore(): void {
    const last = records.at(-1);
    if (!last || running) return;
    more.hidden = true;
    // Exclusive at its end, inclusive at its beginning: the last one is known already.
    const [from, to] = state.order === "desc" ? [stats?.from ?? state.from, last.id] : [idAfter(last.id), stats?.to ?? state.to];
    void search(state, false, from, to);
  }

  function startLive(next: State): void {
    histogram.clear();
    facets.clear();
    list.element.hidden = false;
    element.classList.remove("is-sum");
    pauseButton.hidden = false;
    pauseButton.textContent = "Pause";
    rate.hidden = false;
    rate.textContent = "connecting…";
    if (isSum(next.q, shell.aggregates())) {
      status.failed(new ApiError({ message: "a sum has no end while records arrive", hint: "leave the last pipe out, or stop the live view" }));
      return;
    }
    live.start(next.q);
  }

  function arrived(all: readonly Shown[], fresh: number, tally: Tally): void {
    newest = { records: all, received: tally.received };
    if (paused) {
      const waiting = tally.received - paused.total;
      news.hidden = waiting === 0;
      news.textContent = `${compact(waiting)} new`;
    } else if (fresh > 0) {
      shell.seen.learn(all.slice(0, fresh));
      list.show(all, false);
    }
    const dropped = tally.dropped > 0 || tally.isDroppedUnknown ? ` · ${tally.isDroppedUnknown ? "at least " : ""}${count(tally.dropped)} dropped` : "";
    rate.textContent = tally.isConnected ? `${tally.rate < 10 ? tally.rate.toFixed(1) : compact(tally.rate)} records/s · ${count(tally.received)} received${dropped}` : "connection lost, trying again…";
    rate.dataset["received"] = String(tally.received);
    rate.classList.toggle("has-drops", dropped !== "");
  }

  function pause(): void {
    if (!state.live || paused) return;
    paused = { total: newest.received };
    pauseButton.textContent = "Continue";
    element.classList.add("is-paused");
  }

  function resume(): void {
    if (!paused) return;
    paused = null;
    pauseButton.textContent = "Pause";
    element.classList.remove("is-paused");
    news.hidden = true;
    list.show(newest.records, false);
    list.toTop();
  }

  function refused(error: ApiError): void {
    stop();
    failed(error);
  }

  function stop(): void {
    running?.abort();
    side?.abort();
    live.stop();
    element.classList.remove("is-paused");
    shell.running(false);
  }

  function look(next: State): void {
    const was = state as State | undefined;
    state = next;
    order.value = next.order;
    limit.value = String(next.limit);
    wrap.checked = next.wrap;
    liveButton.setAttribute("aria-pressed", String(next.live));
    order.hidden = next.live;
    limit.hidden = next.live;
    list.look(next);
    if (next.around && was?.around !== next.around) context.open(next.around);
    else if (!next.around) context.close();
    const isOtherFacets = was !== undefined && was.facets.join() !== next.facets.join();
    if (isOtherFacets && !next.live && side && !side.signal.aborted && !element.classList.contains("is-sum")) {
      element.classList.add("with-facets");
      facets.start(next, side.signal);
    }
  }

  function keep(format: Format): void {
    saver.open = false;
    if (sums.element.hidden) save(format, recordsAs(format, list.records(), state.columns));
    else {
      const { columns, rows } = sums.rows();
      save(format, sumsAs(format, columns, rows));
    }
  }

  return {
    element,
    start,
    stop,
    leave: stop,
    look,
    keys: {
      step: (rows) => list.step(rows),
      error: (direction) => {
        list.stepToError(direction);
      },
      toggle: () => list.toggle(),
      pause: () => (paused ? resume() : pause()),
      close() {
        if (context.close()) return true;
        if (saver.open) {
          saver.open = false;
          return true;
        }
        return false;
      },
    },
  };
}
