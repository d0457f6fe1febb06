// Which time is looked at: relative, absolute, in the zone of the browser or in UTC.

import { button, make, put } from "./dom.ts";
import { fromInput, rangeName, relative, toInput, zone } from "./figures.ts";
import type { State } from "./state.ts";

const PRESETS: [string, string][] = [
  ["5m", "5 minutes"], ["15m", "15 minutes"], ["1h", "1 hour"], ["6h", "6 hours"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"],
];

export interface TimePicker {
  element: HTMLElement;
  show(state: State): void;
  open(): void;
  close(): boolean;
}

/** `pick` is told what was chosen. */
export function timePicker(pick: (change: Partial<State>) => void): TimePicker {
  let state: State | null = null;
  const name = make("span", { class: "range-name" });
  const zoneName = make("span", { class: "range-zone" });
  const opener = make("button", { type: "button", id: "time", class: "range", "aria-haspopup": "dialog", "aria-expanded": "false", onclick: () => toggle() }, name, zoneName);
  const panel = make("div", { class: "popover time-panel", role: "dialog", "aria-label": "Time range", hidden: true });
  const element = make("div", { class: "picker" }, opener, panel);

  function toggle(): void {
    if (panel.hidden) api.open();
    else api.close();
  }

  function done(change: Partial<State>): void {
    api.close();
    opener.focus();
    pick(change);
  }

  function fill(): void {
    if (!state) return;
    const { from, to, utc } = state;
    const range = (back: string) => ({ from: back, to: "" });
    const presets = PRESETS.map(([back, words]) =>
      button(`Last ${words}`, () => done(range(back)), { class: "preset", "aria-pressed": String(from === back && !to) }));
    const all = button("All time", () => done(range("")), { class: "preset", "aria-pressed": String(!from && !to) });
    const own = make("input", { id: "back", type: "text", placeholder: "45m, 2h30m, 3d", value: relative(from) !== null && !to ? from : "" });
    const absolute = (text: string) => (Number.isNaN(Date.parse(text)) ? "" : toInput(Date.parse(text), utc));
    const start = make("input", { id: "from", type: "datetime-local", step: 1, value: absolute(from) });
    const end = make("input", { id: "to", type: "datetime-local", step: 1, value: absolute(to) });
    const wrong = make("p", { class: "wrong", role: "alert", hidden: true });
    const use = () => {
      const times = { from: fromInput(start.value, utc), to: fromInput(end.value, utc) };
      if (own.value.trim() && own === document.activeElement) useOwn();
      else if (times.from && times.to && times.from > times.to) say("The beginning lies behind the end.");
      else done(times);
    };
    const useOwn = () => (relative(own.value) === null ? say("A time back from now is written as 45m, 2h30m or 3d.") : done(range(own.value.trim())));
    const say = (text: string) => {
      wrong.hidden = false;
      wrong.textContent = text;
    };
    const onEnter = (work: () => void) => (event: KeyboardEvent) => {
      if (event.key === "Enter") {
        event.preventDefault();
        work();
      }
    };
    own.addEventListener("keydown", onEnter(useOwn));
    start.addEventListener("keydown", onEnter(use));
    end.addEventListener("keydown", onEnter(use));
    const zones = [false, true].map((isUtc) =>
      make("label", {}, make("input", { type: "radio", name: "zone", checked: utc === isUtc, onchange: () => { pick({ utc: isUtc }); fill(); } }),
        isUtc ? "UTC" : `${Intl.DateTimeFormat().resolvedOptions().timeZone} (${zone(false)})`));
    put(panel,
      make("div", { class: "presets" }, ...presets, all),
      make("div", { class: "exact" },
        make("label", { for: "back" }, "Back from now"), make("div", { class: "pair" }, own, button("Use", useOwn)),
        make("label", { for: "from" }, `From (${zone(utc)})`), start,
        make("label", { for: "to" }, `To (${zone(utc)})`), end,
        button("Use these times", use, { class: "primary", id: "use-times" }), wrong,
        make("fieldset", {}, make("legend", {}, "Times are shown in"), ...zones)));
  }

  document.addEventListener("pointerdown", (event) => {
    if (!element.contains(event.target as Node)) api.close();
  });

  const api: TimePicker = {
    element,
    show(shown) {
      state = shown;
      name.textContent = rangeName(shown.from, shown.to, shown.utc);
      zoneName.textContent = zone(shown.utc);
    },
    open() {
      fill();
      panel.hidden = false;
      opener.setAttribute("aria-expanded", "true");
      panel.querySelector("button")?.focus();
    },
    close() {
      const wasOpen = !panel.hidden;
      panel.hidden = true;
      opener.setAttribute("aria-expanded", "false");
      return wasOpen;
    },
  };
  return api;
}
