// The token that the node asks for, if it does: asked for once, kept for as long as the window, or longer if wanted.

import { button, make } from "./dom.ts";

const NAME = "weir.token";

/** Storage may be forbidden: then the token lives as long as the page. */
function stored(storage: () => Storage): string {
  try {
    return storage().getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

function store(storage: () => Storage, secret: string): void {
  try {
    if (secret) storage().setItem(NAME, secret);
    else storage().removeItem(NAME);
  } catch {
    // Full, or forbidden.
  }
}

const session = (): Storage => sessionStorage;
const local = (): Storage => localStorage;

class Token {
  #secret = stored(session) || stored(local);
  /** Whether the node has asked for one. */
  #wanted = false;
  /** Nobody has one to give: not asked again by itself. */
  #refused = false;
  #asking: Promise<boolean> | null = null;
  /** Opened by hand: nothing waits for it. */
  #byHand = false;
  #answer: (given: boolean) => void = () => {};

  readonly #why = make("p", { class: "token-why", id: "token-why" });
  readonly #field = make("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", "aria-describedby": "token-why" });
  readonly #remember = make("input", { type: "checkbox", id: "token-remember" });
  readonly #forget = button("Forget token", () => this.#use("", false), { id: "token-forget" });
  readonly #dialog: HTMLDialogElement;
  /** Opens the dialog by hand. Shown once a token matters. */
  readonly opener = button("Token", () => void this.#open("The page shows this token with everything that it asks.", true), { class: "plain token-button", id: "token-open", hidden: true });

  constructor() {
    const form = make("form", { class: "token-form", onsubmit: (event: Event) => {
      event.preventDefault();
      const secret = this.#field.value.trim();
      if (secret) this.#use(secret, this.#remember.checked);
    } },
      this.#why,
      make("label", { for: "token" }, "Token"), this.#field,
      make("label", { class: "token-remember" }, this.#remember, "Remember it in this browser"),
      make("div", { class: "token-buttons" }, make("button", { type: "submit", class: "primary", id: "token-use" }, "Use token"), this.#forget, button("Cancel", () => this.#dialog.close())));
    this.#dialog = make("dialog", { class: "token", "aria-labelledby": "token-title" },
      make("div", { class: "dialog-head" }, make("h2", { id: "token-title" }, "This node asks for a token")), form);
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.open) return;
      this.#field.value = "";
      this.#asking = null;
      this.#answer(false);
    });
    this.#look();
  }

  get element(): HTMLElement {
    return this.#dialog;
  }

  /** What a request is to show. */
  get shown(): string {
    return this.#secret;
  }

  headers(): Record<string, string> {
    return this.#secret ? { Authorization: `Bearer ${this.#secret}` } : {};
  }

  /** The node did not take what was shown. Whether there is another one now. */
  async denied(shown: string, why: string): Promise<boolean> {
    this.#wanted = true;
    this.#look();
    if (shown !== this.#secret) return true;
    if (this.#refused) return false;
    const given = await this.#open(shown ? `${why}.` : "Everything but this page needs one. Ask whoever runs the node, or make one with weir token new.", false);
    if (!given) this.#refused = true;
    return given;
  }

  #open(why: string, byHand: boolean): Promise<boolean> {
    if (this.#asking) return this.#asking;
    this.#byHand = byHand;
    this.#why.textContent = why;
    this.#forget.hidden = this.#secret === "";
    this.#remember.checked = stored(local) !== "";
    const asking = new Promise<boolean>((answer) => (this.#answer = answer));
    this.#asking = asking;
    this.#dialog.showModal();
    this.#field.focus();
    return asking;
  }

  #use(secret: string, keep: boolean): void {
    this.#secret = secret;
    this.#refused = secret === "";
    store(session, keep ? "" : secret);
    store(local, keep ? secret : "");
    this.#look();
    const answer = this.#answer;
    this.#answer = () => {};
    this.#asking = null;
    this.#field.value = "";
    this.#dialog.close();
    answer(secret !== "");
    // What is shown was asked for with another token, or without one.
    if (secret === "" || this.#byHand) location.reload();
  }

  #look(): void {
    this.opener.hidden = !this.#wanted && this.#secret === "";
  }
}

export const token = new Token();
