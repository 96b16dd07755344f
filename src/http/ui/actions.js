// Changes through the API, each after a confirmation.

import { call, sandbox } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { outcome, patch, resizable } from "./limits.js";
import { say } from "./notice.js";

/** Deletes a sandbox. */
export async function remove(id) {
  const isDone = await ask({
    title: "Delete this sandbox?",
    body: [
      h("p", {}, "The Pod and the Service of ", h("strong", {}, id), " are deleted. Its processes end, and its files too unless they are in a volume."),
    ],
    submit: "Delete",
    isDangerous: true,
    run: () => call(sandbox(id), { method: "DELETE" }),
  });
  if (isDone) say(`Sandbox ${id} is being deleted.`);
}

/** Counts as a use of a sandbox. */
export async function touch(id) {
  const isDone = await ask({
    title: "Touch this sandbox?",
    body: [h("p", {}, "This counts as a use of ", h("strong", {}, id), ", so its idle time begins again.")],
    submit: "Touch",
    run: () => call(sandbox(id, "/touch"), { method: "POST" }),
  });
  if (isDone) say(`Sandbox ${id} was touched.`);
}

/** Changes the limits of a sandbox, and the resources that its profile lets a request set. `data` is its present state. */
export async function changeLimits(id, data) {
  // Without the profiles the lifetimes can still be changed.
  const profiles = data.profile ? await call("api/profiles").catch(() => ({})) : {};
  const resources = resizable(data, profiles);
  const resource = ({ name, label, present, hint }) => {
    const amount = h("input", { id: `${name}-text`, name, value: present, "aria-describedby": `${name}-hint`, autocomplete: "off" });
    return h("div", { class: "field" }, h("label", { for: amount.id }, label), amount, h("p", { id: `${name}-hint`, class: "hint" }, hint));
  };
  const limit = (name, label, hint) => {
    const text = h("input", { id: `${name}-text`, name, "aria-label": `${label}: duration`, placeholder: "2h 30m", disabled: true, autocomplete: "off" });
    const choice = h("select", { id: `${name}-choice`, name: `${name}-choice`, "aria-describedby": `${name}-hint` },
      h("option", { value: "keep" }, "Leave as it is"),
      h("option", { value: "set" }, "Set"),
      h("option", { value: "default" }, "Restore the default"));
    choice.addEventListener("change", () => {
      text.disabled = choice.value !== "set";
      text.required = choice.value === "set";
      if (!text.disabled) text.focus();
    });
    return h("div", { class: "field" },
      h("label", { for: choice.id }, label), h("div", { class: "pair" }, choice, text),
      h("p", { id: `${name}-hint`, class: "hint" }, hint));
  };
  let answer = {};
  const isDone = await ask({
    title: `Limits of ${id}`,
    body: [
      limit("ttl", "Time to live", "Since the creation. A duration such as 90s, 15m or 2h 30m."),
      limit("idle_timeout", "Idle timeout", "Since the last activity. This change counts as activity."),
      resources.map(resource),
    ],
    submit: "Change",
    run: async (form) => {
      const body = patch(form, resources);
      if (body === null) throw new Error("Nothing is to be changed.");
      answer = await call(sandbox(id), { method: "PATCH", body });
    },
  });
  if (isDone) say(outcome(id, answer));
}

/** Resumes the reaper after its limits have stopped it. */
export async function resumeReaper() {
  const isDone = await ask({
    title: "Resume the reaper?",
    body: [h("p", {}, "The reaper stopped because it had to delete unusually many sandboxes. After this it deletes those that have reached a limit. Look at the table first.")],
    submit: "Resume",
    isDangerous: true,
    run: () => call("api/reaper/resume", { method: "POST" }),
  });
  if (isDone) say("The reaper was resumed.");
  return isDone;
}
