// The page at /docs: shows the description of the API, and sends requests.

import { BASE, call } from "./call.js";
import { el, markdown } from "./dom.js";
import { fields } from "./schema.js";

const METHODS = ["get", "post", "patch", "put", "delete", "head", "options"];
const $ = (id) => document.getElementById(id);

/** Returns all calls in order of their tags, as `[method, path, operation]`. */
function calls(spec) {
  return Object.entries(spec.paths).flatMap(([path, item]) => {
    return METHODS.filter((method) => item[method]).map((method) => [method, path, item[method]]);
  });
}

function link([method, path, operation]) {
  return el(
    "li",
    { "data-words": `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase() },
    el("a", { href: `#${operation.operationId}`, title: operation.summary },
      el("span", { class: `method ${method}` }, method.toUpperCase()), el("span", { class: "path" }, path)),
  );
}

function show(spec) {
  const all = calls(spec);
  const key = () => $("key").value;
  document.title = `${spec.info.title}: API`;
  $("title").textContent = `${spec.info.title} ${spec.info.version}`;
  const sections = [];
  const index = [];
  for (const tag of spec.tags) {
    const tagged = all.filter(([, , operation]) => operation.tags.includes(tag.name));
    const elements = tagged.map(([method, path, operation]) => call(spec, method, path, operation, key));
    sections.push(el("section", {}, el("h2", {}, tag.name), ...markdown(tag.description), ...elements));
    index.push(el("section", {}, el("h2", {}, tag.name), el("ul", {}, ...tagged.map(link))));
  }
  const schemas = Object.entries(spec.components.schemas).map(([name, schema]) => {
    const details = el("details", { class: "schema", id: `schema-${name}` }, el("summary", { class: "mono" }, name));
    details.addEventListener("toggle", () => {
      if (details.open && !details.dataset.built) {
        details.dataset.built = "yes";
        details.append(...markdown(schema.description), fields(spec, schema));
      }
    });
    return details;
  });
  const source = el("p", {}, el("a", { href: `${BASE}/openapi.json` }, "openapi.json"), ` (OpenAPI ${spec.openapi})`);
  $("index").replaceChildren(...index);
  $("content").replaceChildren(...markdown(spec.info.description), source, ...sections,
    el("section", {}, el("h2", {}, "Schemas"), ...schemas));
  open();
}

/** Opens what the address names. */
function open() {
  const target = $(decodeURIComponent(location.hash.slice(1)));
  if (!target || target.tagName !== "DETAILS") return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus();
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of $("index").children) {
    const items = [...section.querySelectorAll("li")];
    for (const item of items) item.hidden = !words.every((word) => item.dataset.words.includes(word));
    section.hidden = items.every((item) => item.hidden);
  }
}

async function load() {
  try {
    const response = await fetch(`${BASE}/openapi.json`, { credentials: "omit" });
    if (!response.ok) throw new Error(`the daemon answered ${response.status}`);
    show(await response.json());
  } catch (error) {
    const again = el("button", { type: "button", onclick: load }, "Try again");
    $("state")?.replaceChildren(`The description could not be loaded: ${error.message}. `, again);
  }
}

$("auth").addEventListener("submit", (event) => event.preventDefault());
$("filter").addEventListener("input", filter);
addEventListener("hashchange", open);
load();
