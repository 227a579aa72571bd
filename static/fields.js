// Form fields from the JSON Schema of a type.

import { element } from "./dom.js";

const LONG_NAMES = new Set(["code", "text", "body", "content", "prompt", "requirements", "source"]);

/**
 * The fields of an object schema, in its order. Each is
 * `{name, element, read(), fill(value), complain(message)}`: `read` gives the value, or undefined where an optional
 * field is empty, and raises SyntaxError where JSON is not JSON; `complain("")` takes a complaint back.
 */
export function fieldsOf(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, property]) =>
    field(name, simplified(property, schema.$defs ?? {}), required.has(name)),
  );
}

/** Follow a `$ref`, and take the null out of "this or null": an empty field says it. */
function simplified(schema, definitions) {
  if (schema.$ref) {
    const { $ref, ...own } = schema;
    return { ...definitions[$ref.split("/").at(-1)], ...own };
  }
  const some = (schema.anyOf ?? []).filter((choice) => choice.type !== "null");
  if (!schema.anyOf || some.length !== 1) return schema;
  const { anyOf, ...own } = schema;
  return { ...simplified(some[0], definitions), ...own };
}

function field(name, schema, required) {
  const control = controlOf(name, schema);
  const id = `field-${name}`;
  const error = element("p", { class: "error", id: `${id}-error`, hidden: true });
  const hint = schema.description ? element("p", { class: "hint", id: `${id}-hint` }, schema.description) : null;
  control.input.id = id;
  control.input.name = name;
  control.input.setAttribute("aria-describedby", [hint?.id, error.id].filter(Boolean).join(" "));
  if (required) control.input.setAttribute("aria-required", "true");
  const label = element("label", { for: id }, name, required ? null : element("span", { class: "optional" }, " – optional"));
  const made = {
    name,
    element:
      control.input.type === "checkbox"
        ? element("div", { class: "field" }, element("div", { class: "check" }, control.input, label), hint, error)
        : element("div", { class: "field" }, label, control.input, hint, error),
    read: () => control.read(required),
    fill: control.fill,
    complain(message) {
      error.textContent = message;
      error.hidden = message === "";
      control.input.setAttribute("aria-invalid", String(message !== ""));
    },
    focus: () => control.input.focus(),
  };
  if (schema.default !== undefined && schema.default !== null) made.fill(schema.default);
  return made;
}

/** The control that fits a schema: `{input, read(required), fill(value)}`. */
function controlOf(name, schema) {
  const choices = schema.enum ?? (schema.const === undefined ? null : [schema.const]);
  if (choices) return choice(choices);
  if (schema.type === "boolean") return checkbox();
  if (schema.type === "integer" || schema.type === "number") return number(schema.type);
  if (schema.type === "string") return text(name, schema);
  return json();
}

function choice(choices) {
  const input = element("select", {}, element("option", { value: "" }, "–"));
  input.append(...choices.map((value, index) => element("option", { value: index }, value)));
  return {
    input,
    read: () => (input.value === "" ? undefined : choices[Number(input.value)]),
    fill: (value) => (input.value = String(choices.indexOf(value))),
  };
}

function checkbox() {
  const input = element("input", { type: "checkbox" });
  return { input, read: () => input.checked, fill: (value) => (input.checked = Boolean(value)) };
}

function number(type) {
  const input = element("input", { type: "text", inputmode: type === "integer" ? "numeric" : "decimal", class: "mono" });
  return {
    input,
    read() {
      const typed = input.value.trim();
      if (typed === "") return undefined;
      const value = Number(typed);
      // What is no number, or too long to be one in JavaScript, goes as it was typed: the daemon judges it.
      return Number.isNaN(value) || (type === "integer" && !Number.isSafeInteger(value)) ? typed : value;
    },
    fill: (value) => (input.value = String(value)),
  };
}

function text(name, schema) {
  const long = LONG_NAMES.has(name) || name.endsWith("_text") || name.endsWith("_code");
  const input = long
    ? element("textarea", { class: name.includes("code") ? "tall mono" : "tall", spellcheck: name.includes("code") ? "false" : null })
    : element("input", { type: "text", autocomplete: "off" });
  if (schema.format) input.placeholder = schema.format;
  return {
    input,
    read: (required) => (input.value === "" && !required ? undefined : input.value),
    fill: (value) => (input.value = String(value)),
  };
}

function json() {
  const input = element("textarea", { class: "mono", spellcheck: "false", placeholder: "JSON" });
  return {
    input,
    read: () => (input.value.trim() === "" ? undefined : JSON.parse(input.value)),
    fill: (value) => (input.value = JSON.stringify(value, null, 2)),
  };
}
