// The page: head, views, keys. Its state is its URL.

import { type Plugin, json } from "./api.ts";
import { clusterPage } from "./cluster.ts";
import { button, isTyping, make, put } from "./dom.ts";
import { explore } from "./explore.ts";
import { helpView } from "./help.ts";
import type { Page } from "./pages.ts";
import { pluginsPage } from "./plugins.ts";
import { goButton, queryBox } from "./query_box.ts";
import { remember } from "./query_history.ts";
import { Seen } from "./seen.ts";
import { sourcesPage } from "./sources.ts";
import { type State, type View, fromUrl, toUrl } from "./state.ts";
import { themePicker } from "./theme.ts";
import { timePicker } from "./time_picker.ts";
import { token } from "./token.ts";

const seen = new Seen();
let plugins: Plugin[] = [];
let state = fromUrl(location.search);

const box = queryBox(seen, () => plugins.filter((plugin) => plugin.kind !== "source").map((plugin) => plugin.name), () => ask());
const go = goButton(() => ask(), () => view.stop());
const time = timePicker((change) => {
  if ("utc" in change) restyle(change);
  else search({ ...change, q: box.get() });
});
const view = explore({
  seen,
  aggregates: () => plugins.filter((plugin) => plugin.kind === "aggregate").map((plugin) => plugin.name),
  change: (change) => search({ q: box.get(), ...change }),
  restyle,
  running: (is) => {
    go.running(is);
    progress.hidden = !is;
  },
  wrong: (error) => box.wrong(error),
});
const help = helpView();
const progress = make("div", { class: "progress", hidden: true });
const pages: Record<Exclude<View, "search">, Page> = { cluster: clusterPage(), plugins: pluginsPage(), sources: sourcesPage() };

const NAMES: [View, string][] = [["search", "Explore"], ["sources", "Sources"], ["plugins", "Plugins"], ["cluster", "Cluster"]];
const links = NAMES.map(([name, words]) => make("a", { "data-view": name, onclick: (event: MouseEvent) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  search({ view: name, live: false });
} }, words));
const searchForm = make("div", { class: "ask", role: "search" }, box.element, time.element, go.element);
const main = make("main", { id: "main", tabindex: -1 });
const head = make("header", {},
  make("div", { class: "top" },
    make("a", { class: "brand", href: "./" }, make("img", { src: "icon.svg", alt: "", width: 24, height: 24 }), "weir"),
    make("nav", { "aria-label": "Views" }, ...links),
    token.opener, themePicker(), button("?", () => help.toggle(), { class: "plain help-button", title: "Help", "aria-label": "Help" })),
  searchForm, progress);

/** Asks what is written. */
function ask(): void {
  search({ q: box.get() });
}

/** Goes to a state that has an answer of its own. */
function search(change: Partial<State>): void {
  const next = { ...state, view: "search" as View, around: "", ...change };
  const url = toUrl(next);
  if (url !== toUrl(state)) history.pushState(null, "", url);
  state = next;
  show();
}

/** Shows the same answer otherwise. */
function restyle(change: Partial<State>): void {
  state = { ...state, ...change };
  history.replaceState(null, "", toUrl(state));
  time.show(state);
  view.look(state);
}

function show(): void {
  box.set(state.q);
  time.show(state);
  for (const link of links) {
    const name = link.dataset["view"] as View;
    link.href = toUrl({ ...state, view: name });
    if (name === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = state.view === "search" ? null : pages[state.view];
  for (const page of Object.values(pages)) page.leave();
  searchForm.hidden = shown !== null;
  document.body.dataset["view"] = state.view;
  document.title = state.q && !shown ? `${state.q.slice(0, 60)} · weir` : `${NAMES.find(([name]) => name === state.view)?.[1]} · weir`;
  if (shown) {
    view.leave();
    put(main, shown.element);
    shown.start();
  } else {
    if (view.element.parentElement !== main) put(main, view.element);
    remember(state.q);
    view.start(state);
  }
}

addEventListener("popstate", () => {
  state = fromUrl(location.search);
  show();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") {
    // Dialogs close by themselves.
    if (document.querySelector("dialog[open]") || box.close() || time.close() || view.keys.close()) return;
    if (isTyping()) (document.activeElement as HTMLElement).blur();
    else view.stop();
    return;
  }
  if (isTyping() || document.querySelector("dialog[open]")) return;
  const onButton = document.activeElement?.matches("button, a, summary, input") ?? false;
  const work = KEYS[event.key];
  if (!work || (onButton && (event.key === "Enter" || event.key === " "))) return;
  if (state.view !== "search" && event.key !== "?") return;
  event.preventDefault();
  work();
});

const KEYS: Record<string, () => void> = {
  "/": () => box.focus(),
  j: () => view.keys.step(1),
  k: () => view.keys.step(-1),
  e: () => view.keys.error(1),
  E: () => view.keys.error(-1),
  Enter: () => view.keys.toggle(),
  " ": () => view.keys.pause(),
  l: () => search({ live: !state.live }),
  t: () => time.open(),
  w: () => restyle({ wrap: !state.wrap }),
  "?": () => help.toggle(),
};

document.body.prepend(make("a", { class: "skip", href: "#main" }, "To the results"), head, main, help.element, token.element);
void json<{ plugins: Plugin[] }>("api/v1/plugins").then((answer) => {
  plugins = answer.plugins;
}, () => {});
void seen.load();
show();
