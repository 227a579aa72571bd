// Showing an artifact's payload: at once where the event carries it, fetched where it is large.

import { get } from "./api.js";
import { element } from "./dom.js";
import { pretty } from "./words.js";

/**
 * A <details> whose body is made when it is first opened. `value()` is what to show, or a promise of it.
 */
export function disclosure(summary, value, { open = false } = {}) {
  const body = element("pre", { tabindex: 0 });
  const details = element("details", { open }, summary);
  details.addEventListener("toggle", async () => {
    if (!details.open || body.isConnected) return;
    body.textContent = "…";
    details.append(body);
    try {
      body.textContent = pretty(await value());
    } catch (refusal) {
      body.textContent = refusal.message;
    }
  });
  return details;
}

/** The payload of an artifact as an event or a list gives it. Raises Refusal. */
export async function payloadOf(artifact) {
  if (artifact.payload === null && artifact.payload_href) return (await get(artifact.payload_href)).payload;
  return artifact.payload;
}
