// Commands that an operator can copy.

/** Returns the namespace of a sandbox by its URL in the cluster; null for the URL of a node port. */
export function namespaceOf(url) {
  const match = /^https?:\/\/[a-z0-9-]+\.([a-z0-9-]+)\.svc(?:[.:/]|$)/.exec(url ?? "");
  return match ? match[1] : null;
}

/** Returns the names of the Kubernetes objects of a sandbox. */
export const objects = (id) => ({ pod: `sandbox-${id}`, service: `sandbox-${id}-svc` });

/** Returns the commands about a sandbox, as `{label, text}`. `origin` is the address of the daemon. */
export function commands({ id, url, namespace, origin, needsKey, hasCrashed }) {
  const { pod, service } = objects(id);
  const kubectl = `kubectl -n ${namespaceOf(url) ?? namespace ?? "NAMESPACE"}`;
  const key = needsKey ? '-H "X-API-Key: $PROVISIONER_API_KEY" ' : "";
  const list = [
    { label: "Objects", text: `${kubectl} get pod/${pod} service/${service} -o wide` },
    { label: "Describe", text: `${kubectl} describe pod ${pod}` },
    { label: "Log", text: `${kubectl} logs ${pod} --all-containers --tail=100` },
    { label: "Timeline", text: `curl -s ${key}${origin}/api/sandboxes/${id}/timeline` },
  ];
  if (hasCrashed) list.splice(3, 0, { label: "Log before the restart", text: `${kubectl} logs ${pod} --previous --tail=100` });
  return list;
}
