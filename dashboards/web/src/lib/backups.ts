// What the pages about backups share: words and their looks, how far something is, and what is asked of the API.

import { ABSENT, bytes, duration } from "./format";
import type {
  PolicyOptions,
  Protection,
  Run,
  RunKind,
  RunProgress,
  RunState,
  Snapshot,
  Standing,
  StartRestore,
} from "./types";
import type { Look } from "./words";

/** Each has a look of its own. That something was never shown to come back is a thing not known. */
const PROTECTION: Record<Protection, Look> = {
  unprotected: "bad",
  overdue: "warn",
  unproven: "unknown",
  proven: "good",
  not_needed: "off",
};
export const PROTECTIONS = Object.keys(PROTECTION) as Protection[];
export const protectionLook = (word: Protection): Look => PROTECTION[word] ?? "unknown";
export const protectionText = (word: Protection): string => word.replaceAll("_", " ");

/** What each of them means, for those who do not know our words. */
export const MEANING: Record<Protection, string> = {
  unprotected: "no whole backup in every place that it belongs into",
  overdue: "the newest proven backup is older than it may be",
  unproven: "young enough, but no drill has shown that it comes back",
  proven: "young enough, whole, checked, and a drill brought it back",
  not_needed: "no data of its own, or backups are switched off",
};

/** How old the newest proven backup is, `since` milliseconds after the API said so. */
export const ageOf = (one: Standing, since: number): number | undefined =>
  typeof one.age_ms === "number" ? one.age_ms + since : undefined;

/** How protected an app is, `since` milliseconds after the API said so: what gets too old meanwhile is not young. */
export function protectionOf(one: Standing, since: number): Protection {
  const age = ageOf(one, since);
  const fresh = one.protection === "proven" || one.protection === "unproven";
  return fresh && age !== undefined && age > one.max_age_ms ? "overdue" : one.protection;
}

/** Worst first, then by name. */
export const byNeed = (all: Standing[], since: number): Standing[] =>
  [...all].sort(
    (a, b) =>
      PROTECTIONS.indexOf(protectionOf(a, since)) - PROTECTIONS.indexOf(protectionOf(b, since)) ||
      appName(a).localeCompare(appName(b)),
  );

export const appName = (one: { environment?: string | null; app?: string | null }): string =>
  `${one.environment}/${one.app}`;

/** A sentence of the API as the beginning of a line. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The rule of three copies, two media, one off site: what there is of each. */
export const threeTwoOne = (one: Standing): { wanted: number; has: number; what: string }[] => [
  { wanted: 3, has: one.copy_count, what: "copies, the data itself among them" },
  { wanted: 2, has: one.media, what: "kinds of media" },
  { wanted: 1, has: one.offsite, what: "off site" },
];

const RUN: Record<RunState, Look> = {
  queued: "off",
  running: "busy",
  succeeded: "good",
  partial: "warn",
  failed: "bad",
  cancelled: "off",
};
export const RUN_STATES = Object.keys(RUN) as RunState[];
export const RUN_KINDS: RunKind[] = ["backup", "copy", "check", "prune", "restore", "drill", "move"];
export const runLook = (state: RunState): Look => RUN[state] ?? "unknown";
export const isOpen = (run: Run): boolean => run.state === "queued" || run.state === "running";

export const kindText = (kind: RunKind): string => kind.charAt(0).toUpperCase() + kind.slice(1);

/** What a run is about: an app's instance, or a repository. */
export const subjectOf = (run: Run): string =>
  run.app ? `${appName(run)}${run.group ? ` ${run.group}.${run.slot ?? 0}` : ""}` : run.repository;

export const placeOf = (run: Run): string => (run.to ? `${run.repository} → ${run.to}` : run.repository);

/** How long it took, or has taken by `now`; nothing when it has not begun. */
export function tookOf(run: Run, now: number): number | undefined {
  if (!run.began) return undefined;
  return Math.max(0, (run.ended ? Date.parse(run.ended) : now) - Date.parse(run.began));
}

/** How far into what is known of it, in hundredths. */
export function shareOf(progress: RunProgress): number | undefined {
  const [done, total] = progress.total_bytes
    ? [progress.bytes, progress.total_bytes]
    : [progress.files, progress.total_files ?? 0];
  return total > 0 ? Math.min(100, Math.max(0, (done / total) * 100)) : undefined;
}

/** How far a run is, in a few words. */
export function progressText(progress: RunProgress): string {
  const share = shareOf(progress);
  const parts = [progress.item ? `${progress.phase} ${progress.item}` : progress.phase];
  if (share !== undefined) parts.push(`${Math.floor(share)} %`);
  if (progress.bytes > 0)
    parts.push(
      progress.total_bytes ? `${bytes(progress.bytes)} of ${bytes(progress.total_bytes)}` : bytes(progress.bytes),
    );
  if (typeof progress.left_ms === "number") parts.push(`${duration(progress.left_ms)} left`);
  return parts.join(", ");
}

/** Why a run waits that says nothing about it. */
export const WAITS = "runs that are due at once begin one after the other";

/** How a run stands, in its word and what it says about itself. */
export function stateText(run: Run): string {
  if (run.state === "queued") return `waits: ${run.message ?? WAITS}`;
  if (run.state === "running") return run.progress ? progressText(run.progress) : "running";
  return run.message ? `${run.state}: ${run.message}` : run.state;
}

/** Everything that one run took of an instance, in one repository. */
export interface Moment {
  run: string;
  repository: string;
  group: string;
  slot: number;
  /** The oldest of its items. */
  taken: string;
  host: string;
  release: number;
  whole: boolean;
  bytes: number;
  items: Snapshot[];
}

export const momentKey = (one: Pick<Moment, "run" | "repository">): string => `${one.repository} ${one.run}`;

/** The moments that an app can be brought back to, newest first. */
export function momentsOf(snapshots: Snapshot[]): Moment[] {
  const found = new Map<string, Moment>();
  for (const one of snapshots) {
    const key = `${momentKey(one)} ${one.group} ${one.slot}`;
    const known = found.get(key);
    if (!known) {
      const { run, repository, group, slot, taken, release, whole } = one;
      const first = { run, repository, group, slot, taken, release, whole, host: one.host_name, bytes: one.bytes };
      found.set(key, { ...first, items: [one] });
      continue;
    }
    if (one.taken < known.taken) known.taken = one.taken;
    known.whole &&= one.whole;
    known.bytes += one.bytes;
    known.items.push(one);
  }
  for (const one of found.values()) one.items.sort((a, b) => a.item.localeCompare(b.item));
  return [...found.values()].sort((a, b) => b.taken.localeCompare(a.taken) || a.repository.localeCompare(b.repository));
}

/** The moment that a link names: by its run, or by a snapshot of it, which names the item too. */
export function namedOf(
  moments: Moment[],
  wish: { snapshot: string; repository: string; item: string },
): { moment: Moment; item: string } | undefined {
  if (wish.snapshot === "") return undefined;
  const there = moments.filter((one) => wish.repository === "" || one.repository === wish.repository);
  const ofRun = there.find((one) => one.run === wish.snapshot);
  if (ofRun) return { moment: ofRun, item: wish.item };
  for (const moment of there) {
    const item = moment.items.find((one) => one.id === wish.snapshot);
    if (item) return { moment, item: item.item };
  }
  return undefined;
}

export interface Wish {
  environment: string;
  app: string;
  moment: Moment;
  /** Names of items; all of them for everything. */
  items: string[];
  path: string;
  /** A folder of a host, instead of the app's own place. */
  beside: boolean;
  host: string;
  folder: string;
  /** Only what is absent or empty is filled. */
  keep: boolean;
}

/** What is asked of the API to bring data back. The moment is named, so that what was shown is what is done. */
export function restoreOf(wish: Wish): StartRestore {
  const { moment } = wish;
  const all = wish.items.length === moment.items.length;
  return {
    environment: wish.environment,
    app: wish.app,
    group: moment.group,
    slot: moment.slot,
    repository: moment.repository,
    snapshot: moment.run,
    items: all && wish.path === "" ? [] : wish.items,
    path: wish.path === "" ? null : wish.path,
    host: wish.beside ? wish.host : null,
    folder: wish.beside ? wish.folder : null,
    keep: !wish.beside && wish.keep,
  };
}

/** What is kept, as it is typed: `last=1 daily=30d`. */
export const retentionText = (rules: Record<string, string> | null | undefined): string =>
  Object.entries(rules ?? {})
    .map(([name, value]) => `${name.replace(/^within-/, "")}=${value}`)
    .join(" ");

/** The same as people read it. */
export const keptText = (rules: Record<string, string> | null | undefined): string =>
  Object.entries(rules ?? {})
    .map(([name, value]) => (name === "last" ? `the last ${value}` : `${name.replace(/^within-/, "")} ${value}`))
    .join(", ") || ABSENT;

/** A policy as a form holds it: an empty field says nothing. */
export interface PolicyFields {
  skip: boolean;
  to: string;
  copyTo: string;
  schedule: string;
  timeZone: string;
  jitter: string;
  maxDuration: string;
  maxAge: string;
  retention: string;
  drillSkip: boolean;
  drillSchedule: string;
  drillAge: string;
  drillWithin: string;
}

export const fieldsOf = (options: PolicyOptions | null | undefined): PolicyFields => ({
  skip: options?.skip ?? false,
  to: options?.to ?? "",
  copyTo: (options?.copy_to ?? []).join(" "),
  schedule: options?.schedule ?? "",
  timeZone: options?.time_zone ?? "",
  jitter: options?.jitter ?? "",
  maxDuration: options?.max_duration ?? "",
  maxAge: options?.max_age ?? "",
  retention: retentionText(options?.retention),
  drillSkip: options?.drill?.skip ?? false,
  drillSchedule: options?.drill?.schedule ?? "",
  drillAge: options?.drill?.max_age ?? "",
  drillWithin: options?.drill?.restore_within ?? "",
});

/** What a form says, over what was said `before`, some of which has no field. A rule of retention that is none is named. */
export function optionsOf(
  fields: PolicyFields,
  before?: PolicyOptions | null,
): { options: PolicyOptions; wrong?: string } {
  const words = (text: string) => text.split(/[\s,]+/).filter((word) => word !== "");
  const said = (text: string) => text.trim() || null;
  const rules = words(fields.retention).map((rule) => [rule, /^(\w+)=(\w+)$/.exec(rule)] as const);
  const wrong = rules.find(([, fits]) => !fits)?.[0];
  const retention = Object.fromEntries(rules.flatMap(([, fits]) => (fits ? [[fits[1]!, fits[2]!]] : [])));
  const copies = words(fields.copyTo);
  const drill = {
    ...before?.drill,
    probes: before?.drill?.probes ?? null,
    skip: fields.drillSkip || null,
    schedule: said(fields.drillSchedule),
    max_age: said(fields.drillAge),
    restore_within: said(fields.drillWithin),
  };
  const drills = Object.values(drill).some((value) => value !== null && value !== undefined);
  return {
    options: {
      ...before,
      skip: fields.skip || null,
      to: said(fields.to),
      copy_to: copies.length > 0 ? copies : null,
      schedule: said(fields.schedule),
      time_zone: said(fields.timeZone),
      jitter: said(fields.jitter),
      max_duration: said(fields.maxDuration),
      max_age: said(fields.maxAge),
      retention: rules.length > 0 ? retention : null,
      drill: drills ? drill : null,
    },
    wrong,
  };
}
