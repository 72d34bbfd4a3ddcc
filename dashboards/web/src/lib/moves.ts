// Moves of apps to other hosts, data that they leave behind, and data that waits for a person to come back: words,
// looks, and what is read out of the API's answers.

import type { Moment } from "./backups";
import type { Problem } from "./problem";
import { bytes, duration, plural } from "./format";
import type { App, Loss, Move, MovePlan, MoveStage, OldData, Standing } from "./types";
import type { Look } from "./words";

const LOOKS: Record<MoveStage, Look> = {
  copying: "busy",
  preparing: "busy",
  stopping: "busy",
  syncing: "busy",
  filling: "busy",
  starting: "busy",
  returning: "warn",
  settled: "good",
  confirmed: "good",
  failed: "warn",
  returned: "warn",
};
export const MOVE_STAGES = Object.keys(LOOKS) as MoveStage[];
export const moveLook = (stage: MoveStage): Look => LOOKS[stage] ?? "unknown";

const OVER: MoveStage[] = ["settled", "confirmed", "failed", "returned"];

/** Whether something is still done about it. */
export const isUnderWay = (move: Move | null | undefined): move is Move => !!move && !OVER.includes(move.stage);

/** Whether the app is away while it moves: an instance without data starts on the new host first. */
export const stopsFor = (move: Pick<Move, "legs">): boolean => move.legs.some((leg) => leg.data);

/** What a move is at, as the `omni` command says it. */
export function atText(move: Move): string {
  const to = move.to_name;
  const words: Record<MoveStage, string> = {
    copying: "copies its data while it runs",
    preparing: `${to} gets ready`,
    stopping: "stops",
    syncing: "copies what has changed since",
    filling: `its data goes to ${to}`,
    starting: `starts on ${to}`,
    returning: `leaves ${to} again`,
    settled: stopsFor(move) ? `runs on ${to}; the old copy is kept` : `runs on ${to}`,
    confirmed: `runs on ${to}`,
    failed: `was not moved to ${to}`,
    returned: `came back from ${to}`,
  };
  return words[move.stage] ?? move.stage;
}

/** How far the run of the present stage is, in a few words. */
export function carriedText(move: Move): string | undefined {
  const progress = move.progress;
  if (!progress || progress.bytes === 0) return undefined;
  const far = progress.total_bytes
    ? `${bytes(progress.bytes)} of ${bytes(progress.total_bytes)}`
    : bytes(progress.bytes);
  return typeof progress.left_ms === "number" ? `${far}, ${duration(progress.left_ms)} left` : far;
}

export interface Step {
  stage: MoveStage;
  text: string;
  /** The app is away meanwhile. */
  away: boolean;
  state: "done" | "now" | "next" | "failed";
}

/** The stages of a move in their order, and how each stands; `seen` is the last one that it was seen at. */
export function stepsOf(move: Move, seen?: MoveStage): Step[] {
  const to = move.to_name;
  const data = stopsFor(move);
  const starting: [MoveStage, string, boolean] = ["starting", `Start on ${to}, and become healthy there`, data];
  const all: [MoveStage, string, boolean][] = data
    ? [
        ["copying", `Copy its data to ${move.repository ?? "a repository"}`, false],
        ["preparing", `Look for room on ${to}, and fetch its images there`, false],
        ["stopping", "Stop", true],
        ["syncing", "Copy what has changed since", true],
        ["filling", `Bring all of it to ${to}, and compare it`, true],
        starting,
      ]
    : [starting];
  const order = all.map(([stage]) => stage);
  const at = (stage: MoveStage) => order.indexOf(stage);
  const state = (n: number): Step["state"] => {
    if (move.stage === "settled" || move.stage === "confirmed") return "done";
    if (move.stage === "returning" || move.stage === "returned") return n < at("starting") ? "done" : "failed";
    if (move.stage !== "failed") return n < at(move.stage) ? "done" : n === at(move.stage) ? "now" : "next";
    const known = seen === undefined ? -1 : at(seen);
    if (known >= 0) return n < known ? "done" : n === known ? "failed" : "next";
    return move.stopped && n < at("stopping") ? "done" : "next";
  };
  return all.map(([stage, text, away], n) => ({ stage, text, away, state: state(n) }));
}

/** How long the app was away for a move, or has been by `now`; nothing when it was not, or when that is not known. */
export function awayOf(move: Move, now: number): number | undefined {
  if (!move.stopped) return undefined;
  const stopped = Date.parse(move.stopped);
  if (move.healthy) return Math.max(0, Date.parse(move.healthy) - stopped);
  return isUnderWay(move) ? Math.max(0, now - stopped) : undefined;
}

/** Somebody wanted it so; then there is nothing to mend. */
const WANTED = /^(given up|taken back) by /;

/** What to do about a move that led nowhere. */
export function adviceOf(move: Move): string | undefined {
  const reason = move.reason ?? "";
  if (!["failed", "returned"].includes(move.stage) || WANTED.test(reason)) return undefined;
  const advice: [RegExp, string][] = [
    [/went down/, "Move it again once that host is up, or choose another one."],
    [/was removed/, "Move it again through another repository."],
    [/has not stopped/, "Find out why it does not stop; then move it again."],
    [/\b(room|space|disk)\b/, `Make room on ${move.to_name}, or choose another host.`],
    [/healthy|failed on/, `Find out what it lacks on ${move.to_name}: its last output says more. Then move it again.`],
  ];
  return advice.find(([words]) => words.test(reason))?.[1] ?? "Mend what it says; then move it again.";
}

/** How long an app is likely to be away, and where that is known from. */
export function awayFor(
  plan: MovePlan,
  last: Move | null | undefined,
  standing: Standing | undefined,
  moments: Moment[] = [],
): string {
  if (!stopsFor(plan)) return `not at all: it starts on ${plan.to_name} first`;
  const before = last && last.stage !== "failed" && last.healthy ? awayOf(last, 0) : undefined;
  if (before !== undefined) return `about ${duration(before)}, as when it moved to ${last!.to_name}`;
  if (typeof standing?.restore_ms === "number")
    return `about ${duration(standing.restore_ms)}: its last drill took so long to bring its data back`;
  const size = sizeOf(plan, moments);
  const what = size === undefined ? "all of its data" : `its data, about ${bytes(size)},`;
  return `as long as it takes to write ${what} on ${plan.to_name}; how long that is, no drill has measured`;
}

/** How much moves, by the newest backup of each instance; `moments` are newest first. */
export function sizeOf(plan: MovePlan, moments: Moment[]): number | undefined {
  const sizes = plan.legs
    .filter((leg) => leg.data)
    .map((leg) => moments.find((one) => one.group === leg.group && one.slot === leg.slot)?.bytes);
  const known = sizes.filter((size) => size !== undefined);
  return known.length > 0 && known.length === sizes.length ? known.reduce((a, b) => a + b, 0) : undefined;
}

/** A step of a plan without the words of the command. */
export const stepText = (step: string): string => step.replace(/until `omni move .*`/, "until somebody removes them");

const legsOf = (plan: MovePlan): string =>
  plan.legs
    .filter((leg) => leg.data)
    .map((leg) => `${leg.group}.${leg.slot}`)
    .join(", ");

const hostsOf = (plan: MovePlan): string => [...new Set(plan.legs.map((leg) => leg.from_name))].join(", ");

/** What is said before a move begins, and what is lost by it. */
export function questionOf(plan: MovePlan, away: string, old: OldData[]): { says: string[]; lost: string[] } {
  const replaced = plan.legs.filter((leg) => leg.replaces);
  const lost = replaced.map((leg) => {
    const known = old.find((one) => one.group === leg.group && one.slot === leg.slot && one.host === plan.to);
    return `old data of ${leg.group}.${leg.slot} on ${plan.to_name}${known ? `: ${volumesText(known)}` : ""}`;
  });
  if (!stopsFor(plan)) {
    return { says: [`It starts on ${plan.to_name}, and stops elsewhere once it is healthy there.`], lost };
  }
  return {
    says: [
      `${legsOf(plan)} on ${hostsOf(plan)} stops while the last of the data is brought to ${plan.to_name}. It is away ${away}.`,
      `If it does not become healthy there, it goes back to ${hostsOf(plan)} by itself.`,
      `The old volumes stay on ${hostsOf(plan)} until somebody removes them.`,
    ],
    lost,
  };
}

/** What one host says to a move: a plan, or why not. */
export interface Verdict {
  plan?: MovePlan;
  against?: string;
}

/** Why not, without what the line says that it stands in. */
export const againstText = (message: string): string => message.replace(/^host \S+ cannot take \S+ of \S+: /, "");

/** The controller knows no moves: it is older than the page. */
export const knowsNoMoves = (problem: Problem): boolean => problem.code === "no_route" || problem.status === 405;

/** What stands in the way wherever it is to go; nothing as long as one host differs. */
export function inTheWay(verdicts: (Verdict | undefined)[]): string | undefined {
  const reasons = new Set(verdicts.map((one) => one?.against));
  const [only] = reasons;
  return verdicts.length > 1 && reasons.size === 1 ? only : undefined;
}

/** Why data is where its instance does not live. */
export const OLD_WHY: Record<OldData["why"], string> = {
  moved: "it moved away",
  rescued: "the host was lost, and it came back elsewhere",
  unused: "it was never used",
  tried_here: "it ran there for a while",
};

export const volumesText = (old: OldData): string => (old.volumes.length > 0 ? old.volumes.join(", ") : "its data");

/** Old data as something that is lost. */
export function oldText(old: OldData): string {
  const kind = ["", "volume "][old.volumes.length] ?? "volumes ";
  return `${kind}${volumesText(old)} of ${old.group}.${old.slot} on ${old.host_name}`;
}

/** What can be removed of it, on these hosts or anywhere. */
export const removable = (app: App, hosts?: string[]): OldData[] =>
  (app.old_data ?? []).filter((old) => !old.going && (!hosts || hosts.includes(old.host)));

/** The old copy that a move has left where it came from. */
export function leftBy(app: App, move: Move): OldData[] {
  const from = (old: OldData) =>
    move.legs.some((leg) => leg.group === old.group && leg.slot === old.slot && leg.from === old.host);
  return removable(app).filter((old) => old.why === "moved" && from(old));
}

/** Why something waits, without the words of the command. */
export const waitText = (why: string): string =>
  why.replace(/accept that with `omni restore .*--accept-loss`/, "start it with older data");

/** The losses of an app that wait for a person: its newest usable backup is older than it allows. */
export const lossesOf = (app: App): Loss[] => (app.stranded ?? []).filter((one) => one.state === "too_old");

/** What is lost, and from when; `when` puts a moment into words. */
export function lossText(loss: Loss, when: (moment: string) => string): string {
  const what = loss.volumes.length > 0 ? `in ${loss.volumes.join(", ")} of` : "by";
  const long =
    typeof loss.lost_ms === "number" ? `, the last ${duration(loss.lost_ms)} before ${loss.host_name} was lost` : "";
  const span = loss.taken ? `since ${when(loss.taken)}${long}` : "since its newest backup that can be used";
  return `what was written ${what} ${loss.group}.${loss.slot} ${span}`;
}

/** The same in one line, for those who look at everything. */
export function lossBrief(losses: Loss[], when: (moment: string) => string): string {
  const [first] = losses;
  if (!first) return "";
  const more = losses.length > 1 ? `, and ${plural(losses.length - 1, "instance")} more` : "";
  const of = first.taken ? ` of ${when(first.taken)}` : "";
  const than = typeof first.allowed_ms === "number" ? `the ${duration(first.allowed_ms)} it allows` : "its file allows";
  return `waits for a person: its newest backup${of} is older than ${than}${more}`;
}
