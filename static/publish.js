// The form that publishes an artifact of any type.

import { get, post } from "./api.js";
import { byId, element } from "./dom.js";
import { fieldsOf } from "./fields.js";
import { counted } from "./words.js";

export class PublishForm {
  #form = byId("publish");
  #type = byId("publish-type");
  #wakes = byId("publish-wakes");
  #body = byId("publish-fields");
  #error = byId("publish-error");
  #submit = byId("publish-submit");
  #example = byId("publish-example");
  #types = new Map(); // name → the type as the daemon lists it
  #woken = new Map(); // name of a type → names of the agents that subscribe to it
  #fields = [];
  #published;

  /** `published(correlationId, type)` is called after each publication. */
  constructor(published) {
    this.#published = published;
    this.#type.addEventListener("change", () => this.#choose());
    this.#example.addEventListener("click", () => this.#fillExample());
    this.#form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.#publish();
    });
  }

  /** Read the types and agents, and offer them: first what wakes agents and is there for people to publish. */
  async load() {
    let types, agents;
    try {
      [{ types }, { agents }] = await Promise.all([get("/api/v1/types?limit=500"), get("/api/v1/agents")]);
    } catch (refusal) {
      this.#complain(refusal.message);
      return;
    }
    this.#complain("");
    const names = JSON.stringify(types.map((type) => [type.name, type.version]));
    if (names === this.#form.dataset.types) return; // a reconnect must not wipe what somebody is typing
    this.#form.dataset.types = names;
    this.#types = new Map(types.map((type) => [type.name, type]));
    this.#woken = new Map();
    const made = new Set(agents.flatMap((agent) => agent.outputs ?? []));
    for (const agent of agents) {
      for (const name of new Set((agent.subscriptions ?? []).flatMap((subscription) => subscription.types))) {
        this.#woken.set(name, [...(this.#woken.get(name) ?? []), agent.name]);
      }
    }
    const sorted = [...this.#types.keys()].sort();
    // Agents may make a type that people publish too; its author says so by giving examples.
    const begins = (name) => this.#woken.has(name) && (!made.has(name) || hasExample(this.#types.get(name)));
    const groups = [
      ["Start here", sorted.filter(begins)],
      ["Made by agents", sorted.filter((name) => made.has(name) && !begins(name))],
      ["Others", sorted.filter((name) => !made.has(name) && !begins(name))],
    ].filter(([, members]) => members.length > 0);
    this.#type.replaceChildren(
      ...groups.map(([label, members]) =>
        element("optgroup", { label }, ...members.map((name) => element("option", { value: name }, name))),
      ),
    );
    this.#choose();
  }

  #choose() {
    const type = this.#types.get(this.#type.value);
    this.#submit.disabled = type === undefined;
    this.#example.hidden = !hasExample(type);
    if (!type) return;
    const woken = this.#woken.get(type.name) ?? [];
    this.#wakes.textContent = woken.length
      ? `Wakes ${counted(woken.length, "agent")}: ${woken.join(", ")}`
      : "No agent subscribes to this type.";
    this.#fields = fieldsOf(type.schema);
    this.#body.replaceChildren(...this.#fields.map((field) => field.element));
    this.#complain("");
  }

  #fillExample() {
    const [example] = this.#types.get(this.#type.value).schema.examples;
    for (const field of this.#fields) {
      if (field.name in example) field.fill(example[field.name]);
      field.complain("");
    }
  }

  async #publish() {
    const type = this.#type.value;
    const payload = this.#payload();
    if (payload === null) return;
    this.#submit.disabled = true;
    try {
      const answer = await post("/api/v1/artifacts", { type, payload });
      this.#published(answer.correlation_id, type);
    } catch (refusal) {
      this.#refused(refusal);
    } finally {
      this.#submit.disabled = false;
    }
  }

  /** What the fields hold; null, with the complaint shown, where one holds no JSON. */
  #payload() {
    this.#complain("");
    const payload = {};
    let broken = null;
    for (const field of this.#fields) {
      field.complain("");
      try {
        const value = field.read();
        if (value !== undefined) payload[field.name] = value;
      } catch (error) {
        field.complain(`This is not JSON: ${error.message}`);
        broken ??= field;
      }
    }
    broken?.focus();
    return broken ? null : payload;
  }

  /** Show each error at its field, and at the form those of no field (and the sentence, if there are only such). */
  #refused(refusal) {
    const homeless = [];
    let first = null;
    for (const error of refusal.errors) {
      const field = this.#fieldOf(String(error.field ?? ""));
      if (field) field.complain(error.message);
      else homeless.push(error.field ? `${error.field}: ${error.message}` : error.message);
      first ??= field;
    }
    if (!first) this.#complain(homeless.length ? homeless.join("; ") : refusal.message);
    else this.#complain(homeless.join("; "));
    first?.focus();
  }

  /** The field that an error's path (`payload.code`, `items.0.name`) begins with. */
  #fieldOf(path) {
    const inside = path.startsWith("payload.") ? path.slice("payload.".length) : path;
    return this.#fields.find(({ name }) => inside === name || inside.startsWith(`${name}.`) || inside.startsWith(`${name}[`));
  }

  #complain(message) {
    this.#error.textContent = message;
    this.#error.hidden = message === "";
  }
}

function hasExample(type) {
  return Boolean(type?.schema.examples?.length);
}
