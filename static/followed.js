// The workflow that the page's own publication started: its state, its runs and what they made.
//
// The events say when to look; what is shown is read from the daemon. So nothing is missed that happened before the
// answer to the publication came, or while the connection was lost.

import { coalesced, get } from "./api.js";
import { byId, element } from "./dom.js";
import { disclosure, payloadOf } from "./payload.js";
import { counted, detailOfRun, shortId, toneOf } from "./words.js";

const RESULTS_MAX = 100;
const REFRESH_MS = 150;
const RETRY_MS = 1_000;

export class Followed {
  #panel = byId("followed");
  #title = byId("followed-title");
  #state = byId("followed-state");
  #summary = byId("followed-summary");
  #runs = byId("followed-runs");
  #results = byId("followed-results");
  #correlation = null;
  #shown = new Set(); // ids of the artifacts that are shown
  #progress = new Map(); // run id → the last progress that it told
  #refresh = coalesced(() => this.#read(), REFRESH_MS);

  constructor() {
    byId("followed-close").addEventListener("click", () => {
      this.#correlation = null;
      this.#panel.hidden = true;
      byId("publish-type").focus();
    });
  }

  /** Follow this correlation from now on. */
  start(correlation, type) {
    this.#correlation = correlation;
    this.#shown.clear();
    this.#progress.clear();
    this.#results.replaceChildren();
    this.#runs.replaceChildren();
    this.#title.textContent = `Your ${type}`;
    this.#summary.textContent = `Workflow ${shortId(correlation)}`;
    this.#summary.title = correlation;
    this.#setState("active");
    this.#panel.hidden = false;
    this.#title.focus();
    this.#refresh();
  }

  /** Hear of one event; those of other correlations are nothing to this. */
  add(event) {
    if (event.correlation_id !== this.#correlation) return;
    if (event.kind === "run.progress") this.#progress.set(event.run_id, detailOfRun(event.kind, event.data ?? {}));
    this.#refresh();
  }

  /** Look again, if anything is followed: the connection was lost and is back. */
  again() {
    if (this.#correlation !== null) this.#refresh();
  }

  async #read() {
    const correlation = this.#correlation;
    if (correlation === null) return;
    const id = encodeURIComponent(correlation);
    try {
      const [status, runs, artifacts] = await Promise.all([
        get(`/api/v1/correlations/${id}/status`),
        get(`/api/v1/runs?correlation_id=${id}&limit=${RESULTS_MAX}`),
        get(`/api/v1/artifacts?correlation_id=${id}&order=desc&limit=${RESULTS_MAX}`),
      ]);
      if (correlation === this.#correlation) this.#draw(status, runs.runs, artifacts.items);
    } catch (refusal) {
      if (correlation !== this.#correlation) return;
      this.#summary.textContent = refusal.message;
      // No further event may come to look again at.
      if (refusal.passing) setTimeout(this.#refresh, RETRY_MS);
    }
  }

  #draw(status, runs, artifacts) {
    this.#setState(status.state);
    const errors = status.error_count ? `, ${counted(status.error_count, "error")}` : "";
    this.#summary.textContent =
      `Workflow ${shortId(status.correlation_id)} – ${counted(status.artifact_count, "artifact")}${errors}` +
      (runs.length === 0 && status.state === "completed" ? ". No agent subscribes to this." : "");
    runs.sort((one, other) => one.created_at.localeCompare(other.created_at));
    this.#runs.replaceChildren(...runs.map((run) => this.#run(run)));
    for (const artifact of artifacts.reverse()) {
      if (artifact.produced_by === "external" || this.#shown.has(artifact.id)) continue;
      this.#shown.add(artifact.id);
      this.#results.firstElementChild?.removeAttribute("open"); // the latest is the one to read
      this.#results.prepend(result(artifact));
    }
  }

  #run(run) {
    const error = typeof run.error === "object" ? run.error?.message : run.error;
    const said = error ?? (run.state === "running" ? this.#progress.get(run.id) : null) ?? "";
    return element(
      "li",
      {},
      element("span", { class: "pill", "data-tone": toneOf(run.state) }, run.state),
      element("span", {}, run.agent),
      element("span", { class: "said" }, said),
    );
  }

  #setState(state) {
    this.#state.textContent = state;
    this.#state.setAttribute("data-tone", toneOf(state) ?? "");
  }
}

function result(artifact) {
  const summary = element(
    "summary",
    {},
    element("strong", {}, artifact.type),
    element("span", { class: "by" }, ` by ${artifact.produced_by}`),
  );
  const made = disclosure(summary, () => payloadOf(artifact), { open: true });
  made.dataset.type = artifact.type;
  return made;
}
