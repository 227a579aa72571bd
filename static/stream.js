// The log, live: one EventSource that survives restarts, refusals and a log that was replaced.
//
// A browser gives an EventSource up for good (readyState CLOSED) after one answer that is not 200, such as a proxy's
// 503 while the daemon restarts. Then it is opened again here. To know where to go on, an opening without a cursor
// asks first: the `hello` of the daemon names its log and its head, so a cursor of another log, or from its future
// (a board that was reset or restored), is dropped instead of being refused for ever.

const URL_OF_EVENTS = "/api/v1/events";
const HISTORY = 200; // events before now that a new page begins with
const REOPEN_MIN_MS = 500;
const REOPEN_MAX_MS = 10_000;

// An EventSource hears only the kinds that it names.
const KINDS = [
  "artifact.published", "artifact.visible",
  "run.started", "run.retrying", "run.waiting", "run.completed", "run.failed", "run.cancelled", "run.progress",
  "correlation.started", "correlation.completed", "correlation.failed", "correlation.cancelled",
  "correlation.paused", "correlation.resumed",
  "batch.progress", "join.expired", "question.asked", "question.answered", "timer.fired", "timer.skipped",
  "agent.paused", "agent.resumed", "tool.called", "budget.exceeded", "webhook.failed",
];

/**
 * Follow the log until the page closes.
 *
 * `on.event(event)` gets each event once, in order of `seq`. `on.state("connecting" | "live" | "stopping" | "lost")`
 * says how the connection is. `on.gap(from)` says that events before `from` are no longer kept, `on.replaced()` that
 * this is another log from here on, and what was shown is of the old one.
 */
export function follow(on) {
  let source = null;
  let logId = null;
  let last = null; // the seq up to which events were delivered; null before the first hello
  let delay = REOPEN_MIN_MS;

  function open(after) {
    const asking = after === null;
    source = new EventSource(asking ? URL_OF_EVENTS : `${URL_OF_EVENTS}?after=${after}`);
    source.addEventListener("hello", (message) => hello(data(message), asking));
    source.addEventListener("gap", (message) => gap(data(message)));
    source.addEventListener("goodbye", () => on.state("stopping"));
    source.addEventListener("error", lost);
    if (!asking) for (const kind of KINDS) source.addEventListener(kind, deliver);
  }

  function hello(opening, asking) {
    if (logId !== null && opening.log_id !== logId) {
      last = null;
      on.replaced();
    }
    logId = opening.log_id;
    if (last !== null && last > opening.head) last = null;
    if (asking || last === null) {
      last ??= Math.max(opening.head - HISTORY, (opening.complete_from ?? 1) - 1, 0);
      source.close();
      open(last);
      return;
    }
    delay = REOPEN_MIN_MS;
    on.state("live");
  }

  function gap(opening) {
    if (logId !== null && opening.log_id !== undefined && opening.log_id !== logId) return hello(opening, true);
    last = opening.position ?? last;
    on.gap(opening.complete_from);
  }

  function deliver(message) {
    const event = JSON.parse(message.data);
    if (event.seq <= last) return;
    last = event.seq;
    on.event(event);
  }

  function lost() {
    if (source.readyState !== EventSource.CLOSED) {
      on.state("connecting"); // the browser tries again by itself, with Last-Event-ID
      return;
    }
    on.state("lost");
    source.close();
    setTimeout(() => open(null), delay);
    delay = Math.min(delay * 2, REOPEN_MAX_MS);
  }

  on.state("connecting");
  open(null);
}

function data(message) {
  return JSON.parse(message.data).data;
}
