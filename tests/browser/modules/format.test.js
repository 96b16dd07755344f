import { skew } from "../../../src/http/ui/clock.js";
import { commands, namespaceOf } from "../../../src/http/ui/commands.js";
import { age, exact, plural, since, until, webUrl } from "../../../src/http/ui/format.js";
import { equal, test } from "./harness.js";

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];

test("ages have one unit or two", () => {
  for (const [milliseconds, text] of [
    [-5000, "0s"], [0, "0s"], [999, "0s"], [second, "1s"], [59_999, "59s"], [minute, "1m"], [3 * minute + 20 * second, "3m20s"],
    [10 * minute + 20 * second, "10m"], [59 * minute, "59m"], [2 * hour + 5 * minute, "2h5m"], [11 * hour + 5 * minute, "11h"],
    [day + 3 * hour, "1d3h"], [day + 30 * minute, "1d"], [400 * day, "400d"],
  ]) equal(age(milliseconds), text);
});

test("durations are exact below a minute", () => {
  for (const [milliseconds, text] of [[0, "0 ms"], [850, "850 ms"], [2157, "2.16 s"], [13_324, "13.3 s"], [125_000, "2m5s"]]) {
    equal(exact(milliseconds), text);
  }
});

test("times are relative", () => {
  equal([since(null, 5), since(1000, 61_000), until(null, 5), until(61_000, 1000), until(1000, 13_000)], ["–", "1m", "–", "in 1m", "12s ago"]);
  equal([plural(1, "sandbox", "sandboxes"), plural(10_000, "sandbox", "sandboxes")], ["1 sandbox", "10,000 sandboxes"]);
});

test("only URLs of the web are links", () => {
  equal(webUrl("http://127.0.0.1:31722"), "http://127.0.0.1:31722/");
  for (const text of ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "x", "", undefined, null]) {
    equal(webUrl(text), null, String(text));
  }
});

test("the clock of the daemon is used if it differs", () => {
  const now = Date.parse("2026-11-26T08:00:00Z");
  equal(skew("Thu, 26 Nov 2026 07:59:59 GMT", now), 0);
  equal(skew("Thu, 26 Nov 2026 09:00:00 GMT", now), hour);
  equal([skew(null, now), skew("soon", now)], [0, 0]);
});

test("commands name the objects, and the namespace where it is known", () => {
  const of = (more) => commands({ id: "a", url: "http://127.0.0.1:3", origin: "http://h:8002", needsKey: false, ...more }).map(({ text }) => text);
  equal(of({})[1], "kubectl -n NAMESPACE describe pod sandbox-a");
  equal(of({ namespace: "n" })[0], "kubectl -n n get pod/sandbox-a service/sandbox-a-svc -o wide");
  equal(of({ needsKey: true }).at(-1), 'curl -s -H "X-API-Key: $PROVISIONER_API_KEY" http://h:8002/api/sandboxes/a/timeline');
  equal(of({ hasCrashed: true }).some((text) => text.includes("--previous")), true);
  equal(namespaceOf("http://sandbox-a-svc.deer-flow.svc.cluster.local:8080"), "deer-flow");
  equal([namespaceOf("http://127.0.0.1:3"), namespaceOf(undefined), namespaceOf("http://a.b.svcx")], [null, null, null]);
});
