import { expect, it } from "vitest";
import type { Alert, App, Container, Health, Host, Standing } from "./types";
import { concerns, containerWord, lookOf } from "./words";

const container = (over: object, age = 0) =>
  ({ observed_age_ms: age, container: { state: "running", health: "none", ...over } }) as Container;

it("what is not known does not look good", () => {
  expect(lookOf("a word of a newer version")).toBe("unknown");
  expect(lookOf("pending")).toBe("unknown");
  expect(containerWord(container({}, 60_000))).toBe("unknown");
});

it("a container is as well as its check says", () => {
  expect(containerWord(container({}))).toBe("running");
  expect(containerWord(container({ health: "unhealthy" }))).toBe("unhealthy");
  expect(containerWord(container({ state: "exited", exit_code: 0 }))).toBe("exited");
  expect(containerWord(container({ state: "exited", exit_code: 137 }))).toBe("failed");
});

it("what needs a person is listed worst first, each once", () => {
  const health = {
    state: "failed",
    checks: [
      { name: "hosts", state: "failed", message: "1 host is down" },
      { name: "controllers", state: "degraded", message: "c3 is missing", hint: "start it" },
      { name: "raft", state: "ok", message: "fine" },
    ],
    index: 1,
  } as Health;
  const hosts = [
    { name: "a", status: "up" },
    { name: "b", status: "suspect" },
    { name: "c", status: "down" },
  ] as Host[];
  const found = concerns(health, hosts, []);
  expect(found.map(({ what }) => what)).toEqual(["c", "b", "controllers"]);
  expect(found[2]?.hint).toBe("start it");
});

it("alerts are named one by one, and not again by the look at them", () => {
  const health = {
    state: "degraded",
    checks: [{ name: "alerts", state: "degraded", message: "critical: HostDown" }],
    index: 1,
  } as Health;
  const alerts = [
    { name: "HostDown", severity: "critical", summary: "h1 is down", runbook: "alerts/runbooks/host.md" },
    { name: "Watchdog", severity: "none" },
    { name: "Odd", severity: "purple" },
  ] as Alert[];
  const found = concerns(health, [], [], [], alerts);
  expect(found.map(({ what, look }) => [what, look])).toEqual([
    ["HostDown", "bad"],
    ["Odd", "unknown"],
  ]);
  expect(found[0]).toMatchObject({ why: "h1 is down", hint: "alerts/runbooks/host.md", href: "#/alerts" });
});

it("an app says why it waits", () => {
  const app = {
    name: "x",
    environment: "e",
    status: "pending",
    wanted: 1,
    healthy: 0,
    groups: [{ waiting: ["no host has 2 GPUs"] }],
  };
  expect(concerns(undefined, [], [app as unknown as App])[0]).toMatchObject({
    what: "e/x",
    why: "no host has 2 GPUs",
    look: "unknown",
  });
});

it("apps whose data is at risk are named once the controller finds that it matters", () => {
  const health = (state: string) =>
    ({ state, checks: [{ name: "backups", state, message: "overdue: e/x" }], index: 1 }) as Health;
  const apps = [
    { name: "x", environment: "e", status: "healthy", goal: "run", groups: [] },
    { name: "y", environment: "e", status: "stopped", goal: "stop", groups: [] },
  ] as unknown as App[];
  const standing = (app: string, protection: string, checked: boolean | null = true) =>
    ({ environment: "e", app, protection, sentence: "all is lost", copies: [{ checked }] }) as Standing;
  const all = [standing("x", "overdue"), standing("y", "unprotected"), standing("z", "proven")];
  expect(concerns(health("ok"), [], apps, [], [], all)).toEqual([]);
  expect(concerns(health("degraded"), [], apps, [], [], all)).toEqual([
    { look: "warn", what: "e/x", why: "overdue: all is lost", href: "#/apps/e/x/backups" },
  ]);
  const damaged = concerns(health("degraded"), [], apps, [], [], [standing("x", "unprotected", false)]);
  expect(damaged.map(({ what, look }) => [what, look])).toEqual([
    ["e/x", "bad"],
    ["backups", "warn"],
  ]);
});

it("an app whose data waits for a person says of when its backup is, and offers the loss", () => {
  const app = { name: "x", environment: "e", status: "down", wanted: 1, healthy: 0, groups: [] };
  const loss = { group: "main", slot: 0, volumes: ["data"], taken: "2026-08-01T08:00:00Z", allowed_ms: 60_000 };
  const having = (state: string) =>
    ({ ...app, stranded: [{ ...loss, state, why: "it comes back" }] }) as unknown as App;
  const health = { checks: [{ name: "data", state: "degraded", message: "the same" }] } as unknown as Health;
  const found = concerns(health, [], [having("too_old")]);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({ look: "bad", what: "e/x", href: "#/apps/e/x", waits: { name: "x" } });
  expect(found[0]?.waits?.losses).toHaveLength(1);
  expect(found[0]?.why).toMatch(
    /^waits for a person: its newest backup of 2026-08-01 .* older than the 1 min it allows$/,
  );
  expect(found[0]?.hint).toMatch(/^Lost with it: what was written in data of main\.0 since 2026-08-01 .*\.$/);
  const returns = concerns(undefined, [], [having("returning")]);
  expect(returns[0]).toMatchObject({ look: "bad", why: "it comes back" });
  expect(returns[0]?.waits).toBeUndefined();
});
