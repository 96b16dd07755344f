// The overview: how many sandboxes there are, how long a create takes, and the state of the daemon.

import { resumeReaper } from "./actions.js";
import { call, send, text } from "./api.js";
import { now } from "./clock.js";
import { badge, byId, h } from "./dom.js";
import { exact, moment, number, plural } from "./format.js";
import { histogram, parse, quantile, value } from "./metrics.js";
import { counts } from "./model.js";

/** How often the metrics are read while the overview is open, in milliseconds. */
const REPEAT = 5000;

const STAGES = [
  ["accepted", "Waiting for its turn"],
  ["created", "Creating the objects"],
  ["scheduled", "Finding a node"],
  ["pulled", "Pulling the image"],
  ["started", "Starting the container"],
  ["ready", "Becoming ready"],
];

export class Overview {
  #isOpen = false;
  #href;
  #timer = null;

  /** `href` returns the address of the table with these filters. */
  constructor(href) {
    this.#href = href;
  }

  open(isOpen) {
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    byId("overview").hidden = !isOpen;
    clearTimeout(this.#timer);
    if (isOpen) void this.#repeat();
  }

  /** Shows the numbers of the model. */
  show(model) {
    if (!this.#isOpen) return;
    const rows = [...model.rows.values()];
    const ready = rows.filter((row) => row.ready).length;
    const waiting = rows.filter((row) => !row.ready && row.status !== "Terminating").length;
    const tile = (count, label, filters, kind) =>
      h("li", {}, h("a", { href: this.#href(filters), class: `tile ${kind}` }, h("span", { class: "count" }, number(count)), h("span", {}, label)));
    byId("tiles").replaceChildren(
      tile(rows.length, "sandboxes", {}, ""),
      tile(ready, "ready", { ready: "yes" }, "good"),
      tile(waiting, "not ready", { ready: "no" }, waiting > 0 ? "warn" : ""),
      tile(rows.length - ready - waiting, "terminating", { status: "Terminating" }, ""));
    const of = (name, some = rows) => counts(some, (row) => row[name] || "-");
    byId("by-status").replaceChildren(this.#bars(of("status"), "status", rows.length));
    const troubled = rows.filter((row) => row.reason);
    byId("by-reason").replaceChildren(troubled.length === 0
      ? h("p", { class: "hint" }, "No sandbox has a problem.")
      : this.#bars(of("reason", troubled), "reason", rows.length));
    for (const name of ["profile", "cluster"]) {
      const found = of(name);
      byId(`card-${name}`).hidden = found.length < 2;
      byId(`by-${name}`).replaceChildren(this.#bars(found, name, rows.length));
    }
  }

  #bars(found, name, total) {
    return h("ul", { class: "bars" }, found.slice(0, 12).map(([label, count]) => {
      const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("span", {}));
      bar.firstChild.style.width = `${(100 * count) / Math.max(1, total)}%`;
      return h("li", {}, h("a", { href: this.#href({ [name]: label }) }, label === "-" ? "None" : label), h("span", {}, number(count)), bar);
    }));
  }

  async #repeat() {
    await Promise.all([this.#latency(), this.#reaper(), this.#daemon(), this.#clusters()]);
    if (this.#isOpen) this.#timer = setTimeout(() => void this.#repeat(), REPEAT);
  }

  async #latency() {
    const box = byId("latency");
    try {
      const samples = parse(await text("metrics"));
      box.replaceChildren(...latency(samples));
      byId("version").textContent = version(samples);
    } catch (error) {
      const why = error.status === 404
        ? "The metrics are on an address of their own (PROVISIONER_METRICS_LISTEN), which this page does not read."
        : `The metrics could not be read: ${error.message}`;
      box.replaceChildren(h("p", { class: "hint" }, why));
    }
  }

  async #reaper() {
    const box = byId("reaper");
    try {
      const { stopped_until: until, reaped, rehearsed } = await call("api/reaper");
      const isStopped = until !== null;
      const resume = async () => {
        if (await resumeReaper()) await this.#reaper();
      };
      // A button that has the focus stays.
      if (isStopped && box.contains(document.activeElement)) return;
      box.replaceChildren(
        h("p", {}, isStopped ? badge("bad", "Stopped") : badge("good", "Working"), isStopped ? ` by its limits until ${moment(Date.parse(until), now())}.` : ""),
        h("p", { class: "hint" }, `${plural(reaped, "sandbox", "sandboxes")} reaped since the daemon started${rehearsed > 0 ? `, and ${number(rehearsed)} in a dry run` : ""}.`),
        ...(isStopped ? [h("button", { type: "button", id: "resume", onclick: resume }, "Resume")] : []));
    } catch (error) {
      box.replaceChildren(h("p", { class: "hint" }, error.message));
    }
  }

  async #clusters() {
    const box = byId("clusters");
    try {
      const { clusters } = await call("api/clusters");
      box.replaceChildren(...clusters.map(({ name, ready, version, fresh_since: since, creates }) =>
        h("div", {},
          h("p", {}, badge(ready ? "good" : "bad", ready ? "Ready" : "Not ready"), ` ${name}`),
          h("p", { class: "hint" }, version ? `Kubernetes ${version}. ` : "", since ? `State known since ${moment(Date.parse(since), now())}.` : "Its state is not known now."),
          creates && h("p", { class: "hint" }, `Creates: ${number(creates.running)} of ${number(creates.running_max)} run, ${number(creates.waiting)} wait.`))));
    } catch (error) {
      box.replaceChildren(h("p", { class: "hint" }, error.message));
    }
  }

  async #daemon() {
    const box = byId("checks");
    try {
      const response = await send("readyz", { headers: { Accept: "application/json" } });
      const { checks } = await response.json();
      box.replaceChildren(h("ul", { class: "checks" }, checks.map(({ name, ok, optional, message }) =>
        h("li", {}, badge(ok ? "good" : optional ? "warn" : "bad", ok ? "OK" : "Failed"), ` ${name}`, message && h("p", { class: "hint" }, message)))));
    } catch {
      box.replaceChildren(h("p", { class: "hint" }, "The daemon does not answer."));
    }
  }
}

/** Returns the elements that show how long creates took. */
function latency(samples) {
  const all = histogram(samples, "create_ready_duration_seconds");
  if (all.count === 0) return [h("p", { class: "hint" }, "No sandbox has become ready since the daemon started.")];
  const line = (name, label, found) => {
    const cells = [0.5, 0.9, 0.99].map((share) => h("td", {}, shown(quantile(found, share))));
    return h("tr", { class: name }, h("th", { scope: "row" }, label), cells, h("td", {}, found.count > 0 ? exact((1000 * found.sum) / found.count) : "–"));
  };
  const stages = STAGES.map(([stage, label]) => line("stage", label, histogram(samples, "create_stage_duration_seconds", { stage })));
  return [
    h("p", { class: "hint" }, `${plural(all.count, "create", "creates")} since the daemon started. The percentiles are estimates from the buckets of a histogram.`),
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Create latency" },
      h("table", { class: "numbers" },
        h("thead", {}, h("tr", {}, ["", "p50", "p90", "p99", "Mean"].map((name) => (name === "" ? h("td", {}) : h("th", { scope: "col" }, name))))),
        h("tbody", {}, line("total", "From the POST to ready", all), stages))),
  ];
}

function shown(found) {
  if (found === null) return "–";
  return (found.exceeds ? "> " : "") + exact(1000 * found.seconds);
}

function version(samples) {
  const info = samples.find(({ name }) => name === "sandbox_provisioner_build_info");
  const streams = value(samples, "event_streams");
  return [info && `Version ${info.labels.version}`, streams !== null && plural(streams, "event stream", "event streams")].filter(Boolean).join(", ");
}
