// What the keys do, and how a query is written.

import { button, make } from "./dom.ts";
import { FILTERS } from "./filters.ts";

const KEYS: [string, string][] = [
  ["/", "to the query"], ["Esc", "close, or stop the search"], ["j k", "next, previous record"], ["Enter", "open or close the record"],
  ["e E", "next, previous error"], ["Space", "hold the live view, or go on"], ["l", "live view"], ["t", "time"], ["w", "wrap lines"], ["?", "this"],
];
const FORMS: [string, string][] = [
  ["payment declined", "both, as whole words"], ["~payment", "in any case"], ['"lily ord"', "these bytes, anywhere"], ["/timeout after \\d+ms/", "a regex"],
  ["-healthz, NOT healthz", "without it"], ["a OR b, ( … )", "one of them"], ["topic:orders, topic:shop-*", "a topic; all that begin so"], ["label.host:web1", "a label"],
  ["status>=500, user.id:42", "a field of JSON or logfmt"], ["level>=warn", "a level or worse"], ["| count by path", "through a filter"],
];

export function helpView(): { element: HTMLDialogElement; toggle(): void; close(): boolean } {
  const list = (rows: [string, string][], isKeys: boolean) =>
    make("dl", {}, ...rows.flatMap(([what, does]) => [make("dt", {}, ...(isKeys ? what.split(" ").map((key) => make("kbd", {}, key)) : [make("code", {}, what)])), make("dd", {}, does)]));
  const element = make("dialog", { class: "help", "aria-labelledby": "help-title" },
    make("div", { class: "dialog-head" }, make("h2", { id: "help-title" }, "Help"), button("Close", () => element.close(), { class: "close" })),
    make("div", { class: "help-columns" },
      make("section", {}, make("h3", {}, "Keys"), list(KEYS, true)),
      make("section", {}, make("h3", {}, "Queries"), list(FORMS, false)),
      make("section", {}, make("h3", {}, "Filters"), list(FILTERS.map(({ form, does }) => [`| ${form}`, does]), false))));
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  return {
    element,
    toggle() {
      if (element.open) element.close();
      else element.showModal();
    },
    close() {
      const wasOpen = element.open;
      if (wasOpen) element.close();
      return wasOpen;
    },
  };
}
