// Runs that people begin and give up; asks first where something may be lost.

import { post, Problem } from "./api";
import { asks } from "./ask.svelte";
import { appName, kindText, subjectOf } from "./backups";
import { router } from "./router.svelte";
import type { Run, StartRun } from "./types";

export const runHref = (id: string): string => `#/backups/runs/${encodeURIComponent(id)}`;

export const restoreHref = (environment: string, app: string, query: Record<string, string> = {}): string => {
  const search = new URLSearchParams(query).toString();
  const place = `#/backups/restore/${encodeURIComponent(environment)}/${encodeURIComponent(app)}`;
  return search ? `${place}?${search}` : place;
};

export const policyHref = (environment: string, app: string): string =>
  `#/backups/policies/${encodeURIComponent(environment)}/${encodeURIComponent(app)}`;

export const appHref = (environment: string, app: string): string =>
  `#/apps/${encodeURIComponent(environment)}/${encodeURIComponent(app)}/backups`;

/** Begins runs, and says so. With `follow`, a single one is shown as it goes. */
export async function begin(body: StartRun, what: string, follow = false): Promise<boolean> {
  try {
    const { items } = await post("/api/v1/backup/runs", { body });
    asks.say(items.length === 1 ? `${what} begins` : `${what}: ${items.length} runs begin`);
    if (follow) router.go(items.length === 1 ? runHref(items[0]!.id) : "#/backups/runs");
    return true;
  } catch (error) {
    asks.say(Problem.of(error).message, true);
    return false;
  }
}

interface Which {
  environment: string;
  app: string;
}

export const backUp = ({ environment, app }: Which, follow = false): Promise<boolean> =>
  begin({ backup: { environment, app } }, `A backup of ${appName({ environment, app })}`, follow);

export const drill = ({ environment, app }: Which, follow = false): Promise<boolean> =>
  begin({ drill: { environment, app } }, `A drill of ${appName({ environment, app })}`, follow);

const GIVEN_UP: Record<Run["kind"], string> = {
  backup: "What it has stored is left to the next prune. The backup before it stays the newest.",
  copy: "What it has copied so far stays. It is tried again when the next one is due.",
  check: "Nothing is known by it; the check before it stays the last.",
  prune: "What it has removed is gone, the rest is left to the next one.",
  restore:
    "The app stays stopped, and what was brought back so far may be half of each. Restore again before it is used.",
  drill: "Nothing is shown by it; the drill before it stays the last.",
  move: "The move of its app fails, and the app goes on where it was.",
};

/** Gives a run up. Whether that was done. */
export async function cancel(run: Run): Promise<boolean> {
  const what = `${kindText(run.kind)} of ${subjectOf(run)}`;
  const question = {
    title: `Give this ${run.kind} up?`,
    says: [`${what}.`, run.state === "queued" ? "It has not begun: nothing has been done yet." : GIVEN_UP[run.kind]],
    yes: "Give up",
    danger: true,
  };
  if (!(await asks.confirm(question))) return false;
  return asks.act(`${what} is given up`, () => post("/api/v1/backup/runs/{run}/cancel", { path: { run: run.id } }));
}
