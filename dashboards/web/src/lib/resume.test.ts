import { expect, it } from "vitest";
import { exact, Resume } from "./resume";
import type { LogEntry } from "./types";

const line = (at: string | null, text: string, container = "c") =>
  ({ at, line: text, container, host: "h", source: 0, stream: "stdout" }) as LogEntry;
const shown = (resume: Resume, lines: LogEntry[]) => lines.filter((one) => resume.take(one)).map((one) => one.line);

it("moments sort as texts", () => {
  expect(exact("2026-01-01T00:00:00Z") < exact("2026-01-01T00:00:00.1Z")).toBe(true);
  expect(exact("2026-01-01T00:00:00.12Z") < exact("2026-01-01T00:00:00.123456789Z")).toBe(true);
});

it("no line is lost and none is shown twice", () => {
  const resume = new Resume();
  const before = [
    line("2026-01-01T00:00:01Z", "a"),
    line("2026-01-01T00:00:02.5Z", "b"),
    line("2026-01-01T00:00:02.5Z", "b"),
  ];
  expect(shown(resume, before)).toEqual(["a", "b", "b"]);
  expect(resume.since).toBe("2026-01-01T00:00:02.5Z");
  resume.reconnected();
  const after = [...before.slice(1), line("2026-01-01T00:00:02.5Z", "c"), line("2026-01-01T00:00:03Z", "d")];
  expect(shown(resume, after)).toEqual(["c", "d"]);
  resume.reconnected();
  expect(shown(resume, [line("2026-01-01T00:00:03Z", "d"), line("2026-01-01T00:00:03Z", "e")])).toEqual(["e"]);
});

it("containers do not stand in each other's way", () => {
  const resume = new Resume();
  shown(resume, [line("2026-01-01T00:00:09Z", "late", "one"), line("2026-01-01T00:00:01Z", "early", "two")]);
  resume.reconnected();
  expect(
    shown(resume, [line("2026-01-01T00:00:02Z", "new", "two"), line("2026-01-01T00:00:02Z", "first", "three")]),
  ).toEqual(["new", "first"]);
});

it("lines without a moment are always shown", () => {
  const resume = new Resume();
  expect(shown(resume, [line(null, "x")])).toEqual(["x"]);
  resume.reconnected();
  expect(shown(resume, [line(null, "x")])).toEqual(["x"]);
});
