import { outcome, patch, resizable } from "../../../src/http/ui/limits.js";
import { equal, test } from "./harness.js";

const PROFILES = {
  profiles: [
    { name: "fixed" },
    { name: "large", overrides: { resources: { cpu: { min: "100m", max: "4" }, memory: {}, ephemeral_storage: { max: "1Gi" } } } },
  ],
};

const form = (fields) => new Map(Object.entries({ "ttl-choice": "keep", "idle_timeout-choice": "keep", ...fields }));

test("only what the profile lets a request set can be resized", () => {
  const data = { profile: "large", resources: { cpu: "1", memory: "1Gi" } };
  equal(resizable(data, PROFILES), [
    { name: "cpu", label: "CPU", present: "1", hint: "Cores, such as 2 or 500m; at least 100m, at most 4." },
    { name: "memory", label: "Memory", present: "1Gi", hint: "An amount such as 512Mi or 2Gi." },
  ]);
  equal(resizable({ profile: "large" }, PROFILES).map(({ present }) => present), ["", ""]);
  for (const profile of ["fixed", "gone", undefined]) equal(resizable({ ...data, profile }, PROFILES), []);
  equal(resizable(data, {}), []);
});

test("a patch has only what was changed", () => {
  const resources = resizable({ profile: "large", resources: { cpu: "1", memory: "1Gi" } }, PROFILES);
  for (const [fields, wanted] of [
    [{ cpu: "1", memory: "1Gi" }, null],
    [{ cpu: " 2 ", memory: "" }, { resources: { cpu: "2" } }],
    [{ cpu: "2", memory: "4Gi", "ttl-choice": "set", ttl: " 1h " }, { ttl: "1h", resources: { cpu: "2", memory: "4Gi" } }],
    [{ cpu: "1", memory: "1Gi", "idle_timeout-choice": "default" }, { idle_timeout: null }],
  ]) equal(patch(form(fields), resources), wanted);
});

test("a resize that is not done says so", () => {
  equal(outcome("a", {}), "The limits of a were changed.");
  equal(outcome("a", { resize: { state: "Done" } }), "The limits of a were changed.");
  equal(
    outcome("a", { resize: { state: "Deferred", message: "no room" } }),
    "The limits of a were changed. Its node has not resized it yet: Deferred, no room.",
  );
});
