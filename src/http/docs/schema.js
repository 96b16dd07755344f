// What a schema says, as a tree of fields.

import { el, inline } from "./dom.js";

/** Follows a reference such as `#/components/schemas/Sandbox`. */
export function resolve(spec, value) {
  const reference = value?.$ref;
  if (!reference) return value;
  const keys = reference.slice(2).split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  return keys.reduce((found, key) => found?.[key], spec);
}

/** Returns the last part of a reference. */
export function nameOf(schema) {
  return schema?.$ref?.split("/").at(-1);
}

/** Returns the type of a schema in words, such as `string or null`. */
export function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return nameOf(schema);
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (alternatives) return [...new Set(alternatives.map(typeOf))].join(" or ");
  if (schema.allOf) return schema.allOf.map(typeOf).filter((name) => name !== "object").join(" and ") || "object";
  const types = [schema.type ?? []].flat();
  const names = types.map((type) => (type === "array" ? `array of ${typeOf(schema.items)}` : type));
  return names.join(" or ") || "any";
}

/** Returns the rules of a schema in words. */
export function rulesOf(schema) {
  const rules = [];
  if (schema.format === "date-time") rules.push("RFC 3339");
  if (schema.enum) rules.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  if (schema.pattern) rules.push(`matches ${schema.pattern}`);
  if (schema.minLength) rules.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength) rules.push(`at most ${schema.maxLength} characters`);
  if (schema.minimum !== undefined) rules.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined) rules.push(`at most ${schema.maximum}`);
  if (schema.maxItems) rules.push(`at most ${schema.maxItems} items`);
  if (schema.minProperties) rules.push(`at least ${schema.minProperties} fields`);
  if (schema.maxProperties) rules.push(`at most ${schema.maxProperties} fields`);
  if (schema.default !== undefined) rules.push(`default ${JSON.stringify(schema.default)}`);
  return rules;
}

function typeElement(schema) {
  const names = typeOf(schema);
  const target = nameOf(schema) ?? nameOf(schema?.items);
  return target ? el("a", { href: `#schema-${target}`, class: "mono" }, names) : el("span", { class: "mono" }, names);
}

/** Shows the fields of a schema. References become links, so that the tree stays small. */
export function fields(spec, schema) {
  const parts = [];
  const own = schema?.properties ?? {};
  const items = Object.entries(own).map(([name, field]) => {
    const isRequired = schema.required?.includes(name);
    const rules = rulesOf(field);
    return el(
      "li",
      {},
      el("span", { class: "name mono" }, name),
      " ",
      typeElement(field),
      isRequired ? el("span", { class: "soft" }, " required") : null,
      field.description ? el("span", {}, " – ", ...inline(field.description)) : null,
      rules.length ? el("span", { class: "soft" }, ` (${rules.join("; ")})`) : null,
      field.properties || field.items?.properties ? fields(spec, field.properties ? field : field.items) : null,
    );
  });
  if (items.length) parts.push(el("ul", { class: "fields" }, ...items));
  for (const part of schema?.allOf ?? []) {
    parts.push(part.$ref ? el("p", {}, "All fields of ", typeElement(part), ", where:") : fields(spec, part));
  }
  for (const part of schema?.oneOf ?? schema?.anyOf ?? []) {
    parts.push(el("p", {}, "Either ", typeElement(part)), fields(spec, part));
  }
  if (!parts.length && schema) {
    const rules = rulesOf(schema);
    parts.push(el("p", {}, typeElement(schema), rules.length ? ` (${rules.join("; ")})` : ""));
  }
  return el("div", {}, ...parts);
}
