// How things are, in one of six looks. Unknown has its own: it is neither good nor bad, and as loud as bad.

import { moment } from "./format";
import { lossBrief, lossesOf, lossText, waitText } from "./moves";
import type { Alert, App, Container, Controller, Health, Host, Loss, Standing, System } from "./types";

export type Look = "good" | "busy" | "warn" | "bad" | "unknown" | "off";

const LOOKS: Record<string, Look> = {
  ok: "good",
  up: "good",
  healthy: "good",
  running: "good",
  done: "good",
  leader: "good",
  follower: "good",
  learner: "busy",
  deploying: "busy",
  preparing: "busy",
  starting: "busy",
  stopping: "busy",
  removing: "busy",
  restarting: "warn",
  suspect: "warn",
  degraded: "warn",
  paused: "warn",
  rolled_back: "warn",
  aborted: "warn",
  pending: "unknown",
  unknown: "unknown",
  lost: "unknown",
  down: "bad",
  failed: "bad",
  unhealthy: "bad",
  dead: "bad",
  unreachable: "bad",
  critical: "bad",
  warning: "warn",
  info: "off",
  none: "off",
  resolved: "off",
  stopped: "off",
  exited: "off",
  absent: "off",
  created: "off",
  superseded: "off",
};

export const lookOf = (word: string): Look => LOOKS[word] ?? "unknown";

/** Older than this, what a host last said may no longer be so. */
export const OLD_MS = 30_000;

/** How a container is: what Docker says, unless its host has been silent for too long. */
export function containerWord(view: Container): string {
  if (view.observed_age_ms > OLD_MS) return "unknown";
  const { state, health, exit_code } = view.container;
  if (state === "running" && health === "unhealthy") return "unhealthy";
  if (state === "running" && health === "starting") return "starting";
  if (state === "exited" && exit_code !== 0) return "failed";
  return state;
}

export const controllerWord = (one: Controller): string => (one.reachable ? one.role : "unreachable");

export interface Concern {
  look: Look;
  /** What it is about. */
  what: string;
  /** What is the matter. */
  why: string;
  /** What to do about it. */
  hint?: string;
  href: string;
  /** Losses that a person may accept right here. */
  waits?: Pick<App, "environment" | "name"> & { losses: Loss[] };
}

const RANK: Record<Look, number> = { bad: 0, unknown: 1, warn: 2, busy: 3, off: 4, good: 5 };

/** What needs a person now, worst first. */
export function concerns(
  health: Health | undefined,
  hosts: Host[],
  apps: App[],
  systems: System[] = [],
  alerts: Alert[] = [],
  standings: Standing[] = [],
): Concern[] {
  const found: Concern[] = [];
  for (const host of hosts) {
    if (host.status === "up") continue;
    const why = { suspect: "misses heartbeats", down: "does not answer", pending: "has never reported" }[host.status];
    found.push({ look: lookOf(host.status), what: host.name, why, href: `#/hosts/${encodeURIComponent(host.name)}` });
  }
  for (const app of apps) {
    const href = `#/apps/${encodeURIComponent(app.environment)}/${encodeURIComponent(app.name)}`;
    const losses = lossesOf(app);
    const move = app.deployment;
    if (losses.length > 0) {
      const why = lossBrief(losses, moment);
      const hint = losses.map((loss) => `Lost with it: ${lossText(loss, moment)}.`).join(" ");
      found.push({
        look: "bad",
        what: `${app.environment}/${app.name}`,
        why,
        hint,
        href,
        waits: { environment: app.environment, name: app.name, losses },
      });
    } else if (move?.state === "paused" || (move?.state === "failed" && move.to === app.release)) {
      const why = move.reason ?? `release ${move.to} is ${move.state}`;
      found.push({ look: lookOf(move.state), what: `${app.environment}/${app.name}`, why, href });
    } else if (["down", "degraded", "pending"].includes(app.status)) {
      // A list of apps tells of what waits only where data is stranded.
      const first = app.stranded?.[0]?.why ?? app.groups.flatMap((group) => group.waiting)[0];
      const why = (first && waitText(first)) ?? `${app.healthy} of ${app.wanted} instances are healthy`;
      found.push({ look: lookOf(app.status), what: `${app.environment}/${app.name}`, why, href });
    }
  }
  for (const system of systems) {
    // Absent is a choice; starting passes.
    if (!["degraded", "down", "unknown"].includes(system.condition)) continue;
    const parts = system.components.filter((part) => part.condition === system.condition || part.condition === "down");
    const why = `${system.condition}: ${parts.map((part) => part.name).join(", ")}`;
    found.push({ look: lookOf(system.condition), what: system.name, why, href: `#/systems/${system.number}` });
  }
  for (const alert of alerts) {
    const look = lookOf(alert.severity ?? "");
    if (look === "off") continue;
    const hint = alert.runbook ?? undefined;
    found.push({ look, what: alert.name, why: alert.summary ?? "is firing", hint, href: "#/alerts" });
  }
  const unprotected = standings.filter(({ protection }) => protection === "unprotected" || protection === "overdue");
  for (const check of health?.checks ?? []) {
    // Hosts and alerts were named one by one.
    if (check.name === "alerts" && alerts.length > 0) continue;
    // So are apps whose data is at risk, once the controller finds that it matters; it alone knows of damage.
    if (check.name === "backups" && check.state !== "ok" && unprotected.length > 0) {
      for (const one of unprotected) {
        // What is stopped does not change.
        if (apps.find((app) => app.environment === one.environment && app.name === one.app)?.goal !== "run") continue;
        const look = one.protection === "overdue" ? "warn" : "bad";
        const href = `#/apps/${encodeURIComponent(one.environment)}/${encodeURIComponent(one.app)}/backups`;
        found.push({ look, what: `${one.environment}/${one.app}`, why: `${one.protection}: ${one.sentence}`, href });
      }
      if (!standings.some((one) => one.copies.some((copy) => copy.checked === false))) continue;
    }
    // And so is data on lost hosts, by its apps.
    if (check.name === "data" && apps.some((app) => (app.stranded?.length ?? 0) > 0)) continue;
    if (check.state === "ok" || (check.name === "hosts" && found.some(({ href }) => href.startsWith("#/hosts"))))
      continue;
    const href = {
      controllers: "#/controllers",
      raft: "#/controllers",
      containers: "#/containers?state=running&health=unhealthy",
      hosts: "#/hosts",
      backups: "#/backups",
    };
    found.push({
      look: lookOf(check.state),
      what: check.name,
      why: check.message,
      hint: check.hint ?? undefined,
      href: href[check.name as keyof typeof href] ?? "#/events",
    });
  }
  return found.sort((a, b) => RANK[a.look] - RANK[b.look]);
}
