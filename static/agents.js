// The list of agents: what wakes each, what it makes, how busy it is.

import { coalesced, get } from "./api.js";
import { byId, element } from "./dom.js";
import { toneOf } from "./words.js";

const REFRESH_MS = 1_000;

export class Agents {
  #list = byId("agents");
  #empty = byId("agents-empty");

  /** Read the list soon. */
  refresh = coalesced(async () => {
    try {
      this.#draw((await get("/api/v1/agents")).agents);
    } catch (refusal) {
      this.#empty.textContent = refusal.message;
      this.#empty.hidden = false;
    }
  }, REFRESH_MS);

  /** Hear of one event: a run that starts or ends changes the counts. */
  add(event) {
    if (event.kind.startsWith("run.") && event.kind !== "run.progress") this.refresh();
    if (event.kind.startsWith("agent.")) this.refresh();
  }

  #draw(agents) {
    this.#empty.textContent = "This flock has no agents.";
    this.#empty.hidden = agents.length > 0;
    this.#list.replaceChildren(...agents.map(row));
  }
}

function row(agent) {
  const wakes = (agent.subscriptions ?? []).map((subscription) =>
    subscription.types.join(subscription.mode === "any" ? " or " : " + "),
  );
  const busy = [count(agent.running, "running"), count(agent.queued, "queued")].filter(Boolean);
  if (agent.status === "paused") busy.push(element("span", { class: "pill", "data-tone": "warn" }, "paused"));
  return element(
    "li",
    { "data-agent": agent.name },
    element("div", { class: "head" }, element("span", { class: "name" }, agent.name), ...busy),
    element("p", { class: "hint" }, agent.description ?? ""),
    element("p", { class: "types" }, `${wakes.join(", ") || "–"} → ${(agent.outputs ?? []).join(", ") || "–"}`),
  );
}

function count(number, word) {
  return number ? element("span", { class: "pill", "data-tone": toneOf(word) }, `${number} ${word}`) : null;
}
