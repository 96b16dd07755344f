// One call: its description, the form that sends it, and its answers.

import { el, inline, markdown } from "./dom.js";
import { curlOf, headersOf, send, urlOf } from "./request.js";
import { fields, resolve, rulesOf, typeOf } from "./schema.js";

/** The prefix under which the daemon is reached, such as "" or "/provisioner". */
export const BASE = location.pathname.replace(/\/docs\/?$/, "");

/** The number of the next element that a label refers to. */
let next = 0;

function parameterRow(spec, parameter, inputs) {
  const schema = resolve(spec, parameter.schema) ?? {};
  const id = `p${next++}`;
  const values = schema.enum && ["", ...schema.enum];
  const input = values
    ? el("select", { id }, ...values.map((value) => el("option", { value }, value || "(not sent)")))
    : el("input", { id, type: "text", spellcheck: "false", placeholder: parameter.example ?? "" });
  if (parameter.in === "path") input.value = parameter.example ?? "";
  inputs.push({ place: parameter.in, name: parameter.name, input });
  const rules = rulesOf(schema).filter((rule) => !rule.startsWith("one of"));
  return el(
    "tr",
    {},
    el("td", {}, el("label", { for: id, class: "name mono" }, parameter.name), parameter.required ? " *" : ""),
    el("td", { class: "soft" }, `${parameter.in}, ${typeOf(parameter.schema)}`),
    el("td", {}, ...inline(parameter.description ?? ""), rules.length ? el("span", { class: "soft" }, ` (${rules.join("; ")})`) : null),
    el("td", {}, input),
  );
}

function parameterTable(spec, parameters, inputs) {
  const rows = parameters.map((parameter) => parameterRow(spec, resolve(spec, parameter), inputs));
  const titles = ["Parameter", "Place and type", "Meaning", "Value"].map((title) => el("th", { scope: "col" }, title));
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...titles)), el("tbody", {}, ...rows));
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Parameters" }, table);
}

function bodyForm(spec, requestBody) {
  const content = requestBody.content["application/json"];
  const examples = Object.values(content.examples ?? {}).map((example) => resolve(spec, example));
  const id = `b${next++}`;
  const text = el("textarea", { id, spellcheck: "false" });
  const show = (index) => (text.value = JSON.stringify(examples[index]?.value ?? {}, null, 2));
  show(0);
  const choices = examples.map((example, index) => el("option", { value: index }, example.summary ?? `${index}`));
  const select = el("select", { id: `${id}e`, onchange: (event) => show(event.target.value) }, ...choices);
  const schema = resolve(spec, content.schema);
  const element = el(
    "div",
    {},
    el("h3", {}, "Body"),
    el("div", { class: "row" }, el("label", { for: `${id}e` }, "Example"), select),
    el("label", { for: id }, "JSON"),
    text,
    el("details", {}, el("summary", {}, `Fields of ${typeOf(content.schema)}`), fields(spec, schema)),
  );
  return { element, text };
}

function answerDetails(spec, status, answer) {
  const parts = [];
  const headers = Object.entries(answer.headers ?? {});
  if (headers.length) {
    const items = headers.map(([name, header]) => {
      return el("li", {}, el("span", { class: "name mono" }, name), " – ", ...inline(header.description ?? ""));
    });
    parts.push(el("h3", {}, "Headers"), el("ul", { class: "fields" }, ...items));
  }
  for (const [type, content] of Object.entries(answer.content ?? {})) {
    parts.push(el("h3", { class: "mono" }, type), fields(spec, content.schema));
    const examples = Object.entries(content.examples ?? {}).map(([name, example]) => [name, resolve(spec, example)?.value]);
    if (content.example !== undefined) examples.push(["Example", content.example]);
    for (const [name, value] of examples) {
      const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
      parts.push(el("details", {}, el("summary", {}, name), el("pre", { tabindex: "0" }, text)));
    }
  }
  const tone = status.startsWith("2") || status.startsWith("3") ? "good" : "bad";
  const summary = el("summary", {}, el("span", { class: `status ${tone}` }, status), " ", ...inline(answer.description ?? ""));
  return el("details", {}, summary, el("div", {}, ...parts));
}

/** The form that sends the call, and its result. */
function form(spec, method, path, operation, key) {
  const inputs = [];
  const parts = [];
  if (operation.parameters?.length) {
    parts.push(el("h3", {}, "Parameters"), parameterTable(spec, operation.parameters, inputs));
  }
  const body = operation.requestBody ? bodyForm(spec, resolve(spec, operation.requestBody)) : null;
  if (body) parts.push(body.element);
  const result = el("div", { class: "result", role: "status" });
  const stop = el("button", { type: "button", hidden: true }, "Stop");
  const submit = el("button", { class: "primary", type: "submit" }, "Send");
  let running = null;
  stop.addEventListener("click", () => running?.abort());

  const call = async () => {
    const values = {};
    for (const { place, name, input } of inputs) (values[place] ??= {})[name] = input.value;
    const url = BASE + urlOf(path, values);
    const verb = method.toUpperCase();
    const headers = headersOf(values, key(), Boolean(body));
    const text = body?.text.value;
    const command = el("pre", { tabindex: "0", "aria-label": "Command" }, curlOf(verb, location.origin + url, headers, text));
    const line = el("p", {}, "Sending…");
    const head = el("pre", { tabindex: "0", hidden: true, "aria-label": "Headers of the answer" });
    const shown = el("pre", { tabindex: "0", hidden: true, "aria-label": "Body of the answer" });
    result.replaceChildren(line, head, shown, el("details", {}, el("summary", {}, "As a command"), command));
    running = new AbortController();
    submit.disabled = true;
    stop.hidden = false;
    const show = (answer) => {
      const tone = answer.status < 400 ? "good" : "bad";
      const time = answer.over ? ` in ${answer.took} ms` : ", the stream is open";
      line.replaceChildren(el("span", { class: `status ${tone}` }, `${answer.status} ${answer.text}`), time);
      head.textContent = answer.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
      head.hidden = false;
      shown.textContent = answer.body;
      shown.hidden = answer.body === "";
      shown.scrollTop = answer.over ? 0 : shown.scrollHeight;
    };
    try {
      await send(url, { method: verb, headers, body: text, signal: running.signal }, show);
    } catch (error) {
      const reason = error.name === "AbortError" ? "Stopped." : `No answer: ${error.message}. Does the daemon run?`;
      line.append(line.textContent === "Sending…" ? "" : ". ", reason);
    } finally {
      submit.disabled = false;
      stop.hidden = true;
    }
  };
  const onsubmit = (event) => {
    event.preventDefault();
    call();
  };
  return el("form", { onsubmit, autocomplete: "off" }, ...parts, el("div", { class: "row" }, submit, stop), result);
}

/** Shows a call. Its inside is built when it is opened. */
export function call(spec, method, path, operation, key) {
  const inside = el("div", { class: "inside" });
  const build = () => {
    if (inside.firstChild) return;
    const answers = Object.entries(operation.responses).map(([status, answer]) => {
      return answerDetails(spec, status, resolve(spec, answer));
    });
    const isOpen = !operation.security || operation.security.some((way) => !Object.keys(way).length);
    inside.append(
      ...markdown(operation.description),
      el("p", { class: "soft" }, isOpen ? "No key is needed." : "Needs the API key, if one is configured."),
      form(spec, method, path, operation, key),
      el("h3", {}, "Answers"),
      el("div", { class: "answers" }, ...answers),
    );
  };
  const summary = el(
    "summary",
    {},
    el("span", { class: `method ${method}` }, method.toUpperCase()),
    el("span", { class: "path" }, path),
    el("span", { class: "soft" }, operation.summary),
  );
  const details = el("details", { class: "call", id: operation.operationId }, summary, inside);
  details.addEventListener("toggle", () => details.open && build());
  return details;
}
