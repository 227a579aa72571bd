// The daemon's JSON API, as this page uses it.

/** What the daemon refuses: `problem` is its problem+json body, or a stand-in where nothing answered. */
export class Refusal extends Error {
  constructor(problem) {
    super(problem.message ?? problem.detail ?? problem.title ?? "The request failed");
    this.status = problem.status ?? 0;
    this.errors = problem.details?.errors ?? [];
  }

  /** Whether the same request may succeed later: nothing answered, or a server said that it could not. */
  get passing() {
    return this.status === 0 || this.status >= 500;
  }
}

/** GET a path of the API, as it is now. Raises Refusal. */
export function get(path) {
  return request(path, { headers: { Accept: "application/json" }, cache: "no-store" });
}

/** POST JSON to a path of the API. Raises Refusal. */
export function post(path, body) {
  return request(path, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refusal({ message: "The daemon cannot be reached" });
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(body ?? { status: response.status, message: `The daemon answered ${response.status}` });
  return body;
}

/**
 * A function that runs `refresh` soon after it is called, once for many calls, and never twice at a time or more often
 * than every `milliseconds`. It is for views of rows that events announce: the events ring, the rows are read.
 */
export function coalesced(refresh, milliseconds) {
  let wanted = false;
  let busy = false;
  async function run() {
    busy = true;
    try {
      while (wanted) {
        wanted = false;
        await refresh();
        await new Promise((done) => setTimeout(done, milliseconds));
      }
    } finally {
      busy = false;
    }
  }
  return () => {
    wanted = true;
    if (!busy) run();
  };
}
