// The limits of a sandbox that a form changes. Without a document.

/** The resources that Kubernetes changes while a sandbox runs. */
const RESOURCES = [["cpu", "CPU", "Cores, such as 2 or 500m"], ["memory", "Memory", "An amount such as 512Mi or 2Gi"]];

/**
 * Returns the resources of a sandbox that its profile lets a request set: `{ name, label, present, hint }` each. `answer` is
 * that of `GET api/profiles`.
 */
export function resizable(data, answer) {
  const profile = answer.profiles?.find(({ name }) => name === data.profile);
  const bounds = profile?.overrides?.resources ?? {};
  return RESOURCES.filter(([name]) => name in bounds).map(([name, label, form]) => {
    const { min, max } = bounds[name];
    const range = [min && `at least ${min}`, max && `at most ${max}`].filter(Boolean).join(", ");
    return { name, label, present: String(data.resources?.[name] ?? ""), hint: `${form}${range && `; ${range}`}.` };
  });
}

/** Returns the body of the PATCH for the filled form, or null if nothing is to be changed. */
export function patch(form, resources) {
  const body = {};
  for (const name of ["ttl", "idle_timeout"]) {
    const choice = form.get(`${name}-choice`);
    if (choice === "set") body[name] = form.get(name).trim();
    else if (choice === "default") body[name] = null;
  }
  for (const { name, present } of resources) {
    const amount = form.get(name).trim();
    if (amount !== "" && amount !== present) body.resources = { ...body.resources, [name]: amount };
  }
  return Object.keys(body).length === 0 ? null : body;
}

/** Returns the sentence about a change, from the body of the answer. */
export function outcome(id, { resize }) {
  const changed = `The limits of ${id} were changed.`;
  if (!resize || resize.state === "Done") return changed;
  return `${changed} Its node has not resized it yet: ${resize.state}${resize.message ? `, ${resize.message}` : ""}.`;
}
