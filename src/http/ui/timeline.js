// The timeline of a sandbox.

import { h } from "./dom.js";
import { exact, moment } from "./format.js";

/** Returns the share of the start that each step took, in percent, for its bar. Steps that are no interval have none. */
export function shares({ steps, slowest: interval }) {
  const isInterval = ({ step }) => step !== "warning" && step !== "touched";
  const ready = steps.findIndex(({ step }) => step === "ready");
  const start = ready < 0 ? steps : steps.slice(0, ready + 1);
  // The interval that lasts has no step yet.
  const lasting = interval && interval.to === null ? interval.duration_ms : 0;
  const longest = Math.max(1, lasting, ...start.filter(isInterval).map((step) => step.duration_ms));
  return steps.map((step, at) => (at < start.length && isInterval(step) ? (100 * step.duration_ms) / longest : null));
}

/** Returns the sentence about the slowest interval; null without one. */
export function slowest({ slowest: interval, ready_after_ms: ready }) {
  if (!interval) return null;
  const { from, to, duration_ms: took, reason, image } = interval;
  const end = to === null ? `It has been at “${words(from)}” for ${exact(took)}` : `The slowest part was “${words(from)}” to “${words(to)}”, ${exact(took)}`;
  const total = ready === null ? "Not ready yet. " : `Ready after ${exact(ready)}. `;
  return `${total}${end}${image ? `, with the image ${image}` : ""}${reason ? ` (${reason})` : ""}.`;
}

/** Returns a step's name as words. */
export const words = (step) => step.replaceAll("_", " ");

/** Returns the elements that show a timeline. */
export function view(timeline, now) {
  const bars = shares(timeline);
  const sentence = slowest(timeline);
  const list = h("ol", { class: "timeline" }, timeline.steps.map((step, at) => entry(step, bars[at], now)));
  return [
    sentence && h("p", {}, sentence),
    timeline.omitted > 0 && h("p", { class: "hint" }, `${timeline.omitted} steps are left out.`),
    list,
  ].filter(Boolean);
}

function entry(step, share, now) {
  const bar = share === null ? null : h("span", { class: "bar", "aria-hidden": "true" }, h("span", {}));
  if (bar) bar.firstChild.style.width = `${share}%`;
  const said = [step.reason, step.message].filter(Boolean).join(": ");
  const isProblem = step.step === "warning" || step.step === "not_ready";
  return h("li", { class: isProblem ? "problem" : null },
    h("div", { class: "step" },
      h("strong", {}, words(step.step)),
      step.count > 1 && h("span", { class: "hint" }, `${step.count} times`),
      h("time", { datetime: step.at, title: step.at }, moment(Date.parse(step.at), now)),
      h("span", { class: "took" }, `+${exact(step.duration_ms)}`)),
    bar,
    said && h("p", {}, said),
    step.hint && h("p", { class: "hint" }, step.hint),
    step.image && h("p", { class: "hint" }, step.image));
}
