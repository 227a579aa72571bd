// The page: one stream of events, and the views that hear it.

import { Agents } from "./agents.js";
import { get } from "./api.js";
import { byId } from "./dom.js";
import { Feed } from "./feed.js";
import { Followed } from "./followed.js";
import { PublishForm } from "./publish.js";
import { follow } from "./stream.js";

const STATES = {
  connecting: "Connecting…",
  live: "Live",
  stopping: "The daemon is stopping",
  lost: "Connection lost, trying again",
};

const feed = new Feed();
const followed = new Followed();
const agents = new Agents();
const form = new PublishForm((correlation, type) => followed.start(correlation, type));
const connection = byId("connection");
const connectionState = byId("connection-state");
const lastSeq = byId("last-seq");

/** Show whose flock this is. The same address as the page answers programs with JSON. */
async function nameFlock() {
  try {
    const { name } = await get("/");
    byId("flock-name").textContent = name;
    document.title = `${name} · flockd`;
  } catch {
    // Only a name: whatever is wrong is said by what needs it.
  }
}

follow({
  event(event) {
    lastSeq.textContent = event.seq;
    feed.add(event);
    followed.add(event);
    agents.add(event);
  },
  state(state) {
    if (connection.dataset.state === state) return;
    connection.dataset.state = state;
    connectionState.textContent = STATES[state];
    if (state !== "live") return;
    // A daemon that comes back may have another flock, with other agents and types.
    nameFlock();
    form.load();
    agents.refresh();
    followed.again();
  },
  gap(from) {
    feed.notice(`Events before number ${from} are no longer kept.`);
  },
  replaced() {
    feed.clear();
    feed.notice("The board was replaced: this is its new log.");
    lastSeq.textContent = "–";
  },
});
