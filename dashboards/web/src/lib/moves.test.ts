import { describe, expect, it } from "vitest";
import {
  adviceOf,
  againstText,
  atText,
  awayFor,
  awayOf,
  carriedText,
  inTheWay,
  isUnderWay,
  knowsNoMoves,
  leftBy,
  lossBrief,
  lossesOf,
  lossText,
  MOVE_STAGES,
  moveLook,
  oldText,
  questionOf,
  removable,
  sizeOf,
  stepsOf,
  stepText,
  waitText,
} from "./moves";
import type { Moment } from "./backups";
import { Problem } from "./problem";
import type { App, Loss, Move, MovePlan, MoveStage, OldData, Standing } from "./types";

const leg = (over: object = {}) => ({
  group: "main",
  slot: 0,
  from: "id-1",
  from_name: "h1",
  data: true,
  replaces: false,
  ...over,
});
const moving = (stage: MoveStage, over: object = {}) =>
  ({
    id: "m",
    to: "id-2",
    to_name: "h2",
    repository: "home",
    stage,
    since: "2026-08-01T10:00:20Z",
    started: "2026-08-01T10:00:00Z",
    by: "ada",
    legs: [leg()],
    ...over,
  }) as Move;
const plan = (over: object = {}) =>
  ({
    environment: "e",
    app: "x",
    to: "id-2",
    to_name: "h2",
    legs: [leg()],
    steps: [],
    notes: [],
    ...over,
  }) as MovePlan;
const old = (over: object = {}) =>
  ({
    group: "main",
    slot: 0,
    volumes: ["data"],
    host: "id-1",
    host_name: "h1",
    why: "moved",
    going: false,
    ...over,
  }) as OldData;

describe("a move", () => {
  it("is told by its stage, and only what has succeeded looks good", () => {
    expect(MOVE_STAGES.filter((stage) => moveLook(stage) === "good")).toEqual(["settled", "confirmed"]);
    expect(moveLook("a stage of a newer version" as MoveStage)).toBe("unknown");
    expect(MOVE_STAGES.filter((stage) => !isUnderWay(moving(stage)))).toEqual([
      "settled",
      "confirmed",
      "failed",
      "returned",
    ]);
    expect(isUnderWay(undefined)).toBe(false);
    expect(atText(moving("filling"))).toBe("its data goes to h2");
    expect(atText(moving("settled"))).toBe("runs on h2; the old copy is kept");
    expect(atText(moving("settled", { legs: [leg({ data: false })] }))).toBe("runs on h2");
    expect(atText(moving("hovering" as MoveStage))).toBe("hovering");
  });

  it("shows what is done, what is under way and what comes", () => {
    const states = (move: Move, seen?: MoveStage) => stepsOf(move, seen).map((step) => step.state);
    expect(states(moving("copying"))).toEqual(["now", "next", "next", "next", "next", "next"]);
    expect(states(moving("filling"))).toEqual(["done", "done", "done", "done", "now", "next"]);
    expect(states(moving("settled"))).toEqual(Array(6).fill("done"));
    expect(states(moving("returned"))).toEqual(["done", "done", "done", "done", "done", "failed"]);
    expect(
      stepsOf(moving("copying"))
        .filter((step) => step.away)
        .map((step) => step.stage),
    ).toEqual(["stopping", "syncing", "filling", "starting"]);
    const without = stepsOf(moving("starting", { legs: [leg({ data: false })] }));
    expect(without).toMatchObject([{ stage: "starting", away: false, state: "now" }]);
  });

  it("that failed claims no more than is known of where", () => {
    const states = (move: Move, seen?: MoveStage) => stepsOf(move, seen).map((step) => step.state);
    expect(states(moving("failed"))).toEqual(Array(6).fill("next"));
    const stopped = moving("failed", { stopped: "2026-08-01T10:00:10Z" });
    expect(states(stopped)).toEqual(["done", "done", "next", "next", "next", "next"]);
    expect(states(stopped, "syncing")).toEqual(["done", "done", "done", "failed", "next", "next"]);
  });

  it("says for how long the app is away", () => {
    const now = Date.parse("2026-08-01T10:01:00Z");
    const stopped = "2026-08-01T10:00:10Z";
    expect(awayOf(moving("copying"), now)).toBeUndefined();
    expect(awayOf(moving("filling", { stopped }), now)).toBe(50_000);
    expect(awayOf(moving("settled", { stopped, healthy: "2026-08-01T10:00:40Z" }), now)).toBe(30_000);
    expect(awayOf(moving("failed", { stopped }), now)).toBeUndefined();
  });

  it("tells how much has been carried only when that is known", () => {
    const progress = { bytes: 1024, total_bytes: 4096, files: 1 };
    expect(carriedText(moving("copying"))).toBeUndefined();
    expect(carriedText(moving("copying", { progress: { ...progress, bytes: 0 } }))).toBeUndefined();
    expect(carriedText(moving("copying", { progress }))).toBe("1.0 KiB of 4.0 KiB");
    const left = { ...progress, total_bytes: null, left_ms: 3000 };
    expect(carriedText(moving("copying", { progress: left }))).toBe("1.0 KiB, 3 s left");
  });

  it("that led nowhere comes with what to do, unless somebody wanted it so", () => {
    const advice = (reason: string | null, stage: MoveStage = "failed") => adviceOf(moving(stage, { reason }));
    expect(advice("given up by ada")).toBeUndefined();
    expect(advice("taken back by ada", "returned")).toBeUndefined();
    expect(adviceOf(moving("settled"))).toBeUndefined();
    expect(advice("host h2 went down")).toMatch(/once that host is up/);
    expect(advice("main 0: there is no room for 5 GiB on h2")).toMatch(/Make room on h2/);
    expect(advice("main 0: it did not become healthy on h2 within 60 s", "returned")).toMatch(/last output/);
    expect(advice("repository home was removed")).toMatch(/another repository/);
    expect(advice(null)).toMatch(/Mend/);
  });
});

describe("before a move", () => {
  it("how long the app is away is told from where it is known", () => {
    const drilled = { restore_ms: 90_000 } as Standing;
    const last = moving("confirmed", { stopped: "2026-08-01T10:00:10Z", healthy: "2026-08-01T10:00:40Z" });
    expect(awayFor(plan(), last, drilled)).toMatch(/^about 30 s, as when it moved to h2/);
    expect(awayFor(plan(), moving("failed"), drilled)).toMatch(/^about 1 min: its last drill/);
    expect(awayFor(plan(), null, { restore_ms: null } as Standing)).toMatch(/no drill has measured/);
    expect(awayFor(plan(), null, undefined)).toMatch(/write all of its data on h2; .* no drill has measured/);
    const moments = [
      { group: "main", slot: 0, bytes: 2048 },
      { group: "main", slot: 0, bytes: 9999 },
    ] as Moment[];
    expect(awayFor(plan(), null, undefined, moments)).toMatch(/write its data, about 2\.0 KiB, on h2/);
    expect(sizeOf(plan({ legs: [leg(), leg({ group: "db" })] }), moments)).toBeUndefined();
    expect(sizeOf(plan({ legs: [leg({ data: false })] }), moments)).toBeUndefined();
    expect(awayFor(plan({ legs: [leg({ data: false })] }), last, drilled)).toMatch(/^not at all/);
  });

  it("the question names what stops, and what is replaced", () => {
    const asked = questionOf(plan(), "about 30 s", []);
    expect(asked.says[0]).toBe(
      "main.0 on h1 stops while the last of the data is brought to h2. It is away about 30 s.",
    );
    expect(asked.lost).toEqual([]);
    const replaces = plan({ legs: [leg({ replaces: true })] });
    expect(questionOf(replaces, "", [old({ host: "id-2" })]).lost).toEqual(["old data of main.0 on h2: data"]);
    expect(questionOf(replaces, "", []).lost).toEqual(["old data of main.0 on h2"]);
    expect(questionOf(plan({ legs: [leg({ data: false })] }), "", []).says).toHaveLength(1);
  });

  it("a step is told without the command", () => {
    expect(stepText("keep the old volumes on h1 until `omni move notes --confirm`")).toBe(
      "keep the old volumes on h1 until somebody removes them",
    );
    expect(stepText("stop main.0")).toBe("stop main.0");
  });

  it("what stands in the way everywhere is said once", () => {
    const wait = { against: "a deployment is under way" };
    expect(inTheWay([wait, wait])).toBe("a deployment is under way");
    expect(inTheWay([wait])).toBeUndefined();
    expect(inTheWay([wait, { plan: plan() }])).toBeUndefined();
    expect(inTheWay([wait, undefined])).toBeUndefined();
    expect(inTheWay([undefined, undefined])).toBeUndefined();
    expect(againstText("host h2 cannot take main of e/x: it is cordoned; it is full")).toBe(
      "it is cordoned; it is full",
    );
    expect(againstText("x runs on h2 already")).toBe("x runs on h2 already");
  });

  it("an older controller is told from one that lacks the app", () => {
    const problem = (code: string, status: number) => new Problem({ title: "", code, status });
    expect(knowsNoMoves(problem("no_route", 404))).toBe(true);
    expect(knowsNoMoves(problem("method", 405))).toBe(true);
    expect(knowsNoMoves(problem("not_found", 404))).toBe(false);
  });
});

it("old data is named with its volumes and its place", () => {
  expect(oldText(old())).toBe("volume data of main.0 on h1");
  expect(oldText(old({ volumes: ["a", "b"] }))).toBe("volumes a, b of main.0 on h1");
  expect(oldText(old({ volumes: [] }))).toBe("its data of main.0 on h1");
});

it("only what the last move left where it came from is its old copy", () => {
  const rescued = old({ host: "id-3", why: "rescued" });
  const app = { old_data: [old(), rescued, old({ slot: 1, going: true })] } as App;
  expect(leftBy(app, moving("settled"))).toEqual([old()]);
  expect(removable(app)).toEqual([old(), rescued]);
  expect(removable(app, ["id-3"])).toEqual([rescued]);
  expect(leftBy({} as App, moving("settled"))).toEqual([]);
});

describe("a loss", () => {
  const loss = {
    group: "main",
    slot: 0,
    volumes: ["data", "logs"],
    host_name: "h1",
    down: "2026-08-01T10:30:00Z",
    state: "too_old",
    taken: "2026-08-01T08:00:00Z",
    lost_ms: 9_000_000,
    allowed_ms: 3_600_000,
  } as Loss;

  it("waits for a person only where its backup is too old", () => {
    const back = { ...loss, state: "returning" } as Loss;
    expect(lossesOf({ stranded: [back, loss] } as App)).toEqual([loss]);
    expect(lossesOf({} as App)).toEqual([]);
  });

  it("is told with what is lost and from when", () => {
    expect(lossText(loss, () => "eight")).toBe(
      "what was written in data, logs of main.0 since eight, the last 2 h 30 min before h1 was lost",
    );
    const brief = "waits for a person: its newest backup of eight is older than the 1 h it allows";
    expect(lossBrief([loss], () => "eight")).toBe(brief);
    expect(lossBrief([loss, loss], () => "eight")).toBe(`${brief}, and 1 instance more`);
    expect(lossBrief([], () => "")).toBe("");
  });

  it("says no number that its controller does not", () => {
    const bare = { ...loss, taken: null, lost_ms: null, allowed_ms: null, volumes: [] as string[] } as Loss;
    expect(lossText(bare, () => "")).toBe("what was written by main.0 since its newest backup that can be used");
    expect(lossBrief([bare], () => "")).toMatch(/its newest backup is older than its file allows$/);
  });

  it("is told without the command", () => {
    const why = "wait for the host, or accept that with `omni restore APP --accept-loss`";
    expect(waitText(why)).toBe("wait for the host, or start it with older data");
    expect(waitText("no host has 2 GPUs")).toBe("no host has 2 GPUs");
  });
});
