// The live feed: the latest events, newest first, of everything or of one correlation.

import { byId, element } from "./dom.js";
import { disclosure, payloadOf } from "./payload.js";
import { sentenceOf, shortId, timeOfDay, toneOf, verbOf } from "./words.js";

const ROWS_MAX = 300;

export class Feed {
  #list = byId("feed");
  #empty = byId("feed-empty");
  #show = byId("feed-show");
  #chip = byId("feed-filter");
  #notice = byId("feed-notice");
  #kept = []; // the latest events of all kinds, oldest first
  #fresh = []; // those not drawn yet
  #correlation = null;
  #drawing = false;

  constructor() {
    this.#show.addEventListener("change", () => this.#redraw());
    this.#chip.addEventListener("click", () => this.filter(null));
    this.#list.addEventListener("click", (click) => {
      const chip = click.target.closest("button[data-correlation]");
      if (chip) this.filter(chip.dataset.correlation);
    });
  }

  /** Take one event. It is drawn with all others of this moment, so a burst costs one drawing. */
  add(event) {
    this.#kept.push(event);
    if (this.#kept.length > 2 * ROWS_MAX) this.#kept = this.#kept.slice(-ROWS_MAX);
    this.#fresh.push(event);
    if (this.#fresh.length > 2 * ROWS_MAX) this.#fresh = this.#fresh.slice(-ROWS_MAX);
    if (this.#drawing) return;
    this.#drawing = true;
    // Not an animation frame: those stop in a tab that is not seen, and the feed would jump when it is again.
    setTimeout(() => this.#draw(), 50);
  }

  /** Show only this correlation; null shows all. */
  filter(correlation) {
    this.#correlation = correlation;
    this.#chip.hidden = correlation === null;
    this.#chip.textContent = correlation === null ? "" : `workflow ${shortId(correlation)} ✕`;
    this.#chip.setAttribute("aria-label", correlation === null ? "" : `Stop showing only workflow ${correlation}`);
    (correlation === null ? this.#list : this.#chip).focus();
    this.#redraw();
  }

  /** Say something about the feed itself; an empty text takes it back. */
  notice(text) {
    this.#notice.textContent = text;
    this.#notice.hidden = text === "";
  }

  /** Forget everything: the log is another one. */
  clear() {
    this.#kept = [];
    this.#redraw();
  }

  #redraw() {
    this.#list.replaceChildren();
    this.#fresh = this.#kept;
    this.#draw();
  }

  #draw() {
    this.#drawing = false;
    const rows = this.#fresh.filter((event) => this.#fits(event)).slice(-ROWS_MAX).reverse().map(row);
    this.#fresh = [];
    this.#list.prepend(...rows);
    while (this.#list.childElementCount > ROWS_MAX) this.#list.lastElementChild.remove();
    this.#empty.hidden = this.#list.childElementCount > 0;
  }

  #fits(event) {
    const ofCorrelation = this.#correlation === null || event.correlation_id === this.#correlation;
    return ofCorrelation && event.kind.startsWith(this.#show.value);
  }
}

function row(event) {
  const verb = verbOf(event.kind);
  const summary = element(
    "summary",
    {},
    element("time", { datetime: event.at, title: `${event.at}, seq ${event.seq}` }, timeOfDay(event.at)),
    element("span", { class: "kind", "data-tone": toneOf(verb), title: event.kind }, verb),
    element("span", { class: "what" }, sentenceOf(event)),
  );
  const value = event.kind.startsWith("artifact.") && event.artifact ? () => payloadOf(event.artifact) : () => event;
  return element("li", { "data-seq": event.seq, "data-kind": event.kind }, disclosure(summary, value), correlationChip(event));
}

function correlationChip(event) {
  const id = event.correlation_id;
  if (!id) return null;
  const label = `Show only workflow ${id}`;
  return element(
    "button",
    { type: "button", class: "chip", "data-correlation": id, title: label, "aria-label": label },
    shortId(id),
  );
}
