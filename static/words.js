// Events and values in words for people.

const TONES = {
  published: "good", completed: "good", started: "busy", active: "busy", running: "busy", progress: "busy",
  retrying: "warn", waiting: "warn", paused: "warn", queued: "warn", failed: "bad", cancelled: "bad", dead: "bad",
  expired: "bad", exceeded: "bad",
};

/** The colour that goes with a state or the last part of an event's kind; null is none. */
export function toneOf(word) {
  return TONES[word] ?? null;
}

/** The part of a kind that says what happened: "published" of "artifact.published". */
export function verbOf(kind) {
  return kind.slice(kind.indexOf(".") + 1);
}

/** One line that says what an event is about. */
export function sentenceOf(event) {
  const data = event.data ?? {};
  const [noun] = event.kind.split(".");
  if (noun === "artifact" && event.artifact) {
    const woken = data.woke?.length ? `, woke ${counted(data.woke.length, "agent")}` : "";
    return `${event.artifact.type} by ${event.artifact.produced_by}${woken}`;
  }
  if (noun === "run") return [event.agent, detailOfRun(event.kind, data)].filter(Boolean).join(" – ");
  if (noun === "correlation") {
    const details = [data.name, data.round > 1 ? `round ${data.round}` : null, data.reason];
    return ["workflow", ...details].filter(Boolean).join(" – ");
  }
  return [noun, event.agent, data.message ?? data.reason].filter(Boolean).join(" – ");
}

/** What a run's event says beyond its kind: its progress, its error. */
export function detailOfRun(kind, data) {
  if (kind === "run.progress") {
    const percent = typeof data.fraction === "number" ? `${Math.round(data.fraction * 100)} %` : null;
    return [percent, data.phase, data.message].filter(Boolean).join(", ");
  }
  const error = typeof data.error === "object" ? data.error?.message : data.error;
  return error ?? data.reason ?? "";
}

/** "1 agent", "2 agents". */
export function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The end of an id, for people: ids made one after the other begin alike, since they begin with the time. */
export function shortId(id) {
  return id.slice(-8);
}

/** The time of day, in the reader's time zone. */
export function timeOfDay(timestamp) {
  return new Date(timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

const SHOWN_MAX_CHARACTERS = 200_000;

/** JSON for reading. What is too long for a browser to lay out at once is cut, and says so. */
export function pretty(value) {
  const text = JSON.stringify(value, null, 2) ?? "";
  if (text.length <= SHOWN_MAX_CHARACTERS) return text;
  return `${text.slice(0, SHOWN_MAX_CHARACTERS)}\n… ${(text.length - SHOWN_MAX_CHARACTERS).toLocaleString()} more characters`;
}
