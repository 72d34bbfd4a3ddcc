import { describe, expect, it } from "vitest";
import {
  byNeed,
  fieldsOf,
  keptText,
  momentsOf,
  namedOf,
  optionsOf,
  progressText,
  protectionLook,
  protectionOf,
  PROTECTIONS,
  restoreOf,
  retentionText,
  shareOf,
  stateText,
  tookOf,
} from "./backups";
import type { PolicyOptions, Protection, Run, RunProgress, Snapshot, Standing } from "./types";

const HOUR = 3_600_000;
const standing = (protection: Protection, over: Partial<Standing> = {}) =>
  ({
    environment: "e",
    app: protection,
    protection,
    age_ms: HOUR,
    max_age_ms: 2 * HOUR,
    copies: [],
    ...over,
  }) as Standing;

describe("protection", () => {
  it("has a look of its own for each word, and none but proven looks good", () => {
    const looks = PROTECTIONS.map(protectionLook);
    expect(new Set(looks).size).toBe(PROTECTIONS.length);
    expect(PROTECTIONS.filter((word) => protectionLook(word) === "good")).toEqual(["proven"]);
    expect(protectionLook("a word of a newer version" as Protection)).toBe("unknown");
  });

  it("does not stay young while nothing new is heard", () => {
    expect(protectionOf(standing("proven"), 0)).toBe("proven");
    expect(protectionOf(standing("proven"), HOUR + 1)).toBe("overdue");
    expect(protectionOf(standing("unproven"), HOUR + 1)).toBe("overdue");
    expect(protectionOf(standing("not_needed"), 9 * HOUR)).toBe("not_needed");
    expect(protectionOf(standing("unprotected", { age_ms: null }), 9 * HOUR)).toBe("unprotected");
  });

  it("is listed worst first", () => {
    const all = [
      standing("proven"),
      standing("not_needed"),
      standing("unprotected"),
      standing("unproven"),
      standing("overdue"),
    ];
    const words = byNeed(all, 0).map((one) => one.protection);
    expect(words).toEqual(["unprotected", "overdue", "unproven", "proven", "not_needed"]);
  });
});

describe("runs", () => {
  const run = (over: Partial<Run>) => ({ state: "running", kind: "backup", items: [], ...over }) as Run;
  const progress = (over: Partial<RunProgress>) =>
    ({ run: "r", phase: "transferring", bytes: 0, files: 0, ...over }) as RunProgress;

  it("say how far they are, only as far as that is known", () => {
    expect(shareOf(progress({}))).toBeUndefined();
    expect(shareOf(progress({ bytes: 50, total_bytes: 200 }))).toBe(25);
    expect(shareOf(progress({ files: 3, total_files: 4 }))).toBe(75);
    expect(shareOf(progress({ bytes: 300, total_bytes: 200 }))).toBe(100);
    expect(progressText(progress({ phase: "verifying" }))).toBe("verifying");
    expect(progressText(progress({ item: "volume-data", bytes: 512, total_bytes: 1024, left_ms: 61_000 }))).toBe(
      "transferring volume-data, 50 %, 512 B of 1.0 KiB, 1 min left",
    );
  });

  it("say why they wait, and why they failed", () => {
    expect(stateText(run({ state: "queued", message: "no host has restic" }))).toBe("waits: no host has restic");
    expect(stateText(run({ state: "queued" }))).toMatch(/^waits: runs that are due/);
    expect(stateText(run({ state: "failed", message: "wrong password" }))).toBe("failed: wrong password");
    expect(stateText(run({}))).toBe("running");
  });

  it("count their time from when their host began", () => {
    const began = "2026-01-01T00:00:00Z";
    expect(tookOf(run({}), 0)).toBeUndefined();
    expect(tookOf(run({ began }), Date.parse(began) + 5000)).toBe(5000);
    expect(tookOf(run({ began, ended: "2026-01-01T00:00:02Z" }), Date.parse(began) + 9000)).toBe(2000);
  });
});

const snapshot = (over: Partial<Snapshot>) =>
  ({
    ...{ id: "1", environment: "e", app: "a", group: "main", slot: 0, item: "volume-data", repository: "home" },
    ...{ taken: "2026-01-01T00:00:00Z", run: "r1", host_name: "h1", release: 1, whole: true, bytes: 10, files: 1 },
    ...over,
  }) as Snapshot;

describe("moments", () => {
  const all = [
    snapshot({ id: "1", item: "b", taken: "2026-01-02T00:00:05Z", run: "r2" }),
    snapshot({ id: "2", item: "a", taken: "2026-01-02T00:00:00Z", run: "r2", whole: false }),
    snapshot({ id: "3" }),
    snapshot({ id: "4", repository: "away" }),
    snapshot({ id: "5", group: "other", run: "r3", taken: "2026-01-03T00:00:00Z" }),
  ];

  it("are what one run took of an instance, in one repository, newest first", () => {
    const found = momentsOf(all);
    expect(found.map((one) => [one.run, one.repository, one.items.map((item) => item.id)])).toEqual([
      ["r3", "home", ["5"]],
      ["r2", "home", ["2", "1"]],
      ["r1", "away", ["4"]],
      ["r1", "home", ["3"]],
    ]);
    expect(found[1]).toMatchObject({ whole: false, taken: "2026-01-02T00:00:00Z", bytes: 20 });
  });

  it("go by their run, or by one of their snapshots, which names the item too", () => {
    const moments = momentsOf(all);
    const found = (snapshot: string, repository = "", item = "") => {
      const named = namedOf(moments, { snapshot, repository, item });
      return named && [named.moment.run, named.moment.repository, named.item];
    };
    expect(found("r2", "home", "b")).toEqual(["r2", "home", "b"]);
    expect(found("r1", "home")).toEqual(["r1", "home", ""]);
    expect(found("4")).toEqual(["r1", "away", "volume-data"]);
    expect(found("2")).toEqual(["r2", "home", "a"]);
    expect([found(""), found("nothing"), found("4", "home")]).toEqual([undefined, undefined, undefined]);
  });

  it("are named in what is asked, so that what was shown is what is done", () => {
    const moment = momentsOf(all)[1]!;
    const wish = {
      ...{ environment: "e", app: "a", moment, path: "", beside: false, host: "h9", folder: "/x", keep: true },
      items: ["a", "b"],
    };
    expect(restoreOf(wish)).toEqual({
      ...{ environment: "e", app: "a", group: "main", slot: 0, repository: "home", snapshot: "r2" },
      ...{ items: [], path: null, host: null, folder: null, keep: true },
    });
    expect(restoreOf({ ...wish, items: ["a"] }).items).toEqual(["a"]);
    const beside = restoreOf({ ...wish, items: ["a"], path: "etc/x", beside: true });
    expect(beside).toMatchObject({ items: ["a"], path: "etc/x", host: "h9", folder: "/x", keep: false });
  });

  it("with a path name their item, even when it is the only one", () => {
    const moment = momentsOf([snapshot({})])[0]!;
    const wish = { environment: "e", app: "a", moment, beside: false, host: "", folder: "", keep: false };
    expect(restoreOf({ ...wish, items: ["volume-data"], path: "a/b" }).items).toEqual(["volume-data"]);
  });
});

describe("policies", () => {
  it("read as they are typed, whichever way the API says them", () => {
    expect(retentionText({ last: "1", "within-daily": "30d" })).toBe("last=1 daily=30d");
    expect(keptText({ last: "1", daily: "30d" })).toBe("the last 1, daily 30d");
    expect(keptText({})).toBe("–");
  });

  it("come back from a form as they went in, also what has no field", () => {
    const before = {
      to: "home",
      copy_to: ["away", "far"],
      max_age: "6h",
      retention: { last: "1", daily: "30d" },
      drill: { schedule: "0 6 * * 2", probes: [{ facts: {} }] },
    } as unknown as PolicyOptions;
    const { options, wrong } = optionsOf(fieldsOf(before), before);
    expect(wrong).toBeUndefined();
    const said = JSON.parse(JSON.stringify(options, (_, value: unknown) => value ?? undefined)) as object;
    expect(said).toEqual(before);
  });

  it("say nothing in empty fields, and name what is no rule", () => {
    const { options } = optionsOf(fieldsOf(null));
    expect(Object.values(options).every((value) => value === null)).toBe(true);
    expect(optionsOf({ ...fieldsOf(null), retention: "last=1 often" }).wrong).toBe("often");
  });
});
