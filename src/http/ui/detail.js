// The details of one sandbox.

import { changeLimits, remove, touch } from "./actions.js";
import { call, hasKey, origin, sandbox } from "./api.js";
import { now } from "./clock.js";
import { commands, namespaceOf, objects } from "./commands.js";
import { badge, byId, copyButton, h, tone } from "./dom.js";
import { moment, since, until, webUrl } from "./format.js";
import { view } from "./timeline.js";

/** The shortest time between two reads of a timeline, in milliseconds. */
const PAUSE = 1000;
/** How often the timeline of a sandbox that is not ready is read, in milliseconds. */
const REPEAT = 5000;

/** The fields that have a line of their own. The others are shown as they are. */
const SHOWN = new Set([
  "sandbox_id", "sandbox_url", "status", "ready", "reason", "message", "hint", "created_at", "expires_at", "idle_since",
  "reap_reason", "reap_held", "container_id", "profile", "resources", "resize", "workspace", "network",
  "max_shell_sessions", "lark_cli_broker", "owner", "user_id", "thread_id", "cluster", "namespace", "labels",
]);

export class Detail {
  #panel = byId("detail");
  #id = null;
  #row = null;
  #gone = null;
  #changes = [];
  #isComplete = false;
  #timeline = null;
  #failure = null;
  #readAt = 0;
  #reading = null;
  #parts = null;
  #times = [];

  constructor({ onClose }) {
    this.#panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") onClose();
    });
    this.onClose = onClose;
  }

  get id() {
    return this.#id;
  }

  /** Opens the details of a sandbox, or closes them. */
  open(id, model) {
    if (id === this.#id) return;
    this.#id = id;
    this.#timeline = null;
    this.#failure = null;
    this.#readAt = 0;
    this.#row = undefined;
    this.#panel.hidden = id === null;
    document.body.classList.toggle("has-detail", id !== null);
    if (id === null) {
      this.#panel.replaceChildren();
      this.#parts = null;
      return;
    }
    this.#build(id);
    this.show(model, true);
  }

  focus() {
    this.#parts?.title.focus();
  }

  /** Shows the present state. `isChanged` says that the sandbox may have changed. */
  show(model, isChanged) {
    if (this.#id === null) return;
    const row = model.rows.get(this.#id) ?? null;
    const gone = model.gone.get(this.#id) ?? null;
    const changes = model.changes.get(this.#id) ?? [];
    if (row !== this.#row || gone !== this.#gone || model.complete !== this.#isComplete || isChanged) {
      [this.#row, this.#gone, this.#changes, this.#isComplete] = [row, gone, changes, model.complete];
      this.#draw();
      this.#read(PAUSE);
    }
    const isWaiting = row !== null && !row.ready;
    if (isWaiting) this.#read(REPEAT);
    this.tick();
  }

  /** Shows the present times. */
  tick() {
    const time = now();
    for (const [element, text] of this.#times) element.textContent = text(time);
  }

  #build(id) {
    const title = h("h2", { id: "detail-title", tabindex: "-1" }, id);
    const act = (name, run, isDangerous) =>
      h("button", { type: "button", class: isDangerous ? "danger" : null, onclick: () => run(id) }, name);
    const actions = h("div", { class: "buttons", role: "group", "aria-label": "Actions" },
      act("Touch", touch), act("Change limits", () => changeLimits(id, this.#row?.data ?? {})), act("Delete", remove, true));
    const close = h("button", { type: "button", class: "close", "aria-label": "Close the details", onclick: () => this.onClose() }, "✕");
    const section = (name, label) => {
      const body = h("div", { class: "body" });
      const element = h("section", { "aria-labelledby": `detail-${name}` }, h("h3", { id: `detail-${name}` }, label), body);
      return { element, body };
    };
    const parts = {
      title,
      actions,
      state: h("div", { class: "state" }),
      facts: section("facts", "Facts"),
      timeline: section("timeline", "Timeline"),
      changes: section("changes", "Changes seen by this page"),
      commands: section("commands", "Commands"),
    };
    this.#parts = parts;
    this.#panel.replaceChildren(
      h("div", { class: "head" }, title, close),
      parts.state, actions,
      parts.facts.element, parts.timeline.element, parts.changes.element, parts.commands.element);
    this.#panel.scrollTop = 0;
  }

  #draw() {
    const { state, facts, actions, changes, commands: commandsPart } = this.#parts;
    this.#times = [];
    const row = this.#row;
    state.replaceChildren(...(row ? this.#problem(row) : this.#absence()));
    actions.hidden = row === null;
    facts.element.hidden = row === null;
    facts.body.replaceChildren(row ? h("dl", {}, this.#facts(row)) : "");
    changes.element.hidden = this.#changes.length === 0;
    changes.body.replaceChildren(h("ol", { class: "changes" }, this.#changes.toReversed().map((change) =>
      h("li", {}, h("time", {}, moment(change.at, now())), h("strong", {}, change.name),
        [change.status, change.reason].filter(Boolean).join(", ")))));
    commandsPart.element.hidden = row === null;
    if (row) commandsPart.body.replaceChildren(...this.#commands(row));
    this.#drawTimeline();
  }

  #problem(row) {
    const { message, hint } = row.data;
    const ready = row.ready ? "Ready: its URL works." : "Not ready.";
    return [
      h("p", {}, badge(tone(row), row.status), " ", ready),
      row.reason && h("div", { class: "problem", id: "detail-problem" },
        h("strong", {}, row.reason),
        message && h("p", { class: "message" }, String(message)),
        hint && h("p", {}, "Hint: ", String(hint))),
    ].filter(Boolean);
  }

  #absence() {
    if (this.#gone) {
      const { data, at } = this.#gone;
      const why = data.reaped ? `It was reaped: ${data.reaped.reason}, ${data.reaped.message}.` : "It was deleted.";
      return [h("div", { class: "problem", id: "detail-problem" }, h("strong", {}, "This sandbox no longer exists."), h("p", {}, `${why} Seen at ${moment(at, now())}.`))];
    }
    const text = this.#isComplete ? "This sandbox does not exist." : "The sandboxes are not loaded yet.";
    return [h("p", { id: "detail-problem" }, text)];
  }

  #facts(row) {
    const { data } = row;
    const { pod, service } = objects(row.id);
    const list = [];
    const add = (name, ...value) => list.push(h("dt", {}, name), h("dd", {}, ...value));
    const addTime = (name, at, text) => {
      const span = h("span", {});
      this.#times.push([span, (time) => text(at, time)]);
      add(name, span, " ", h("time", { class: "hint", datetime: new Date(at).toISOString() }, moment(at, now())));
    };
    const url = webUrl(data.sandbox_url);
    if (url) add("URL", h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, data.sandbox_url), " ", copyButton(data.sandbox_url, "the URL"));
    else if (data.sandbox_url) add("URL", String(data.sandbox_url));
    if (row.created !== null) addTime("Created", row.created, (at, time) => `${since(at, time)} ago`);
    if (row.idle !== null) addTime("Idle", row.idle, since);
    if (row.expires !== null) addTime("Expires", row.expires, until);
    else add("Expires", "No limit is set");
    if (data.reap_reason) add("Limit reached then", data.reap_reason);
    if (data.reap_held) add("Held", `${data.reap_held.reason}: ${data.reap_held.message}, until ${moment(Date.parse(data.reap_held.until), now())}`);
    if (data.owner) add("Owner", String(data.owner));
    if (data.user_id) add("User", String(data.user_id));
    if (data.thread_id) add("Thread", String(data.thread_id));
    if (data.cluster) add("Cluster", String(data.cluster));
    if (data.profile) add("Profile", String(data.profile));
    if (data.labels) add("Labels", Object.entries(data.labels).map(([name, value]) => h("code", { class: "label" }, `${name}=${value}`)));
    if (data.resources) add("Resource limits", pairs(data.resources));
    if (data.resize) add("Resize", pairs(data.resize));
    if (data.workspace) add("Workspace", pairs(data.workspace));
    if (data.network) add("Network", pairs(data.network));
    if ("max_shell_sessions" in data) add("Shell sessions", data.max_shell_sessions === null ? "Unknown" : `At most ${data.max_shell_sessions}`);
    if ("lark_cli_broker" in data) add("Lark broker", data.lark_cli_broker === null ? "Incomplete" : data.lark_cli_broker ? "Yes" : "No");
    add("Pod", h("code", {}, pod), " ", copyButton(pod, "the name of the Pod"));
    if (data.container_id) add("Pod uid", h("code", {}, data.container_id));
    add("Service", h("code", {}, service));
    for (const [name, value] of Object.entries(data)) {
      if (!SHOWN.has(name)) add(name, h("code", {}, typeof value === "string" ? value : JSON.stringify(value)));
    }
    return list;
  }

  #commands(row) {
    const { sandbox_url: url, namespace, reason } = row.data;
    const list = commands({ id: row.id, url, namespace, origin: origin(), needsKey: hasKey(), hasCrashed: /Crash|OOM|Error/.test(reason ?? "") });
    const isKnown = namespaceOf(url) ?? namespace;
    return [
      ...list.map(({ label, text }) => h("div", { class: "command" }, h("span", {}, label), copyButton(text, label), h("code", { tabindex: "0" }, text))),
      !isKnown && h("p", { class: "hint" }, "NAMESPACE is the daemon's setting K8S_NAMESPACE; its default is deer-flow."),
    ].filter(Boolean);
  }

  #drawTimeline() {
    const { element, body } = this.#parts.timeline;
    element.hidden = this.#timeline === null && this.#failure === null;
    if (this.#timeline) body.replaceChildren(...view(this.#timeline, now()));
    else body.replaceChildren(h("p", { class: "hint" }, this.#failure ?? ""));
  }

  /** Reads the timeline, unless that was less than this time ago. */
  async #read(pause) {
    const id = this.#id;
    const left = this.#readAt + pause - Date.now();
    if (this.#reading === id || left > 0) {
      // The last change of a burst is read too.
      if (pause === PAUSE && left > 0) setTimeout(() => this.#id === id && this.#read(PAUSE), left + 10);
      return;
    }
    this.#readAt = Date.now();
    this.#reading = id;
    try {
      const timeline = await call(sandbox(id, "/timeline"));
      if (id !== this.#id) return;
      [this.#timeline, this.#failure] = [timeline, null];
    } catch (error) {
      if (id !== this.#id) return;
      // The timeline that was read before stays.
      if (error.status !== 404) this.#failure = `The timeline could not be read: ${error.message}`;
    } finally {
      if (this.#reading === id) this.#reading = null;
    }
    this.#drawTimeline();
  }
}

/** Returns the fields of an object as text. */
function pairs(object) {
  if (typeof object !== "object" || object === null) return String(object);
  return Object.entries(object)
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(", ");
}
