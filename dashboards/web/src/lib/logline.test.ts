import { describe, expect, it } from "vitest";
import { plain, readLine, SHOWN, whole } from "./logline";

describe("plain", () => {
  it.each([
    ["\u001b[31mred\u001b[0m", "red"],
    ["\u001b]0;title\u0007text", "text"],
    ["\u001b]8;;https://example.org\u001b\\link\u001b]8;;\u001b\\", "link"],
    ["\u001b[2J\u001b[Hcleared", "cleared"],
    ["a\rb\u0000", "a␍b␀"],
    ["right\u202eto left", "right\ufffdto left"],
    ["tab\tstays", "tab\tstays"],
    ["\u001b]never ended", ""],
  ])("%j reads %j", (raw, text) => expect(plain(raw)).toBe(text));

  // Looked at again from each escape it would take minutes, and the time of a test is over long before.
  it("takes a long line of escapes in stride", () => {
    expect(plain("\u001b]".repeat(200_000))).toBe("");
    expect(plain("\u001b[".repeat(200_000))).toBe("");
  });
});

describe("levels", () => {
  it.each([
    ["2026-01-01 ERROR it broke", "error"],
    ["[warn] low", "warn"],
    ['level=info msg="x"', "info"],
    ['{"level":"WARN","message":"x"}', "warn"],
    ['{"level":50,"msg":"x"}', "error"],
    ['{"severity":"CRITICAL","message":"x"}', "error"],
    ["nothing said", "none"],
    ["terror informs", "none"],
  ])("%s is %s", (raw, level) => expect(readLine(raw).level).toBe(level));
});

describe("fields", () => {
  it("of JSON are told apart from the message", () => {
    expect(readLine('{"ts":1,"level":"info","msg":"hello","user":{"id":7}}')).toEqual({
      level: "info",
      text: "hello",
      fields: [
        ["ts", "1"],
        ["user", '{"id":7}'],
      ],
      cut: 0,
    });
  });

  it("of tracing lie one level down", () => {
    const line = readLine('{"level":"INFO","fields":{"message":"up","host":"a"},"target":"t"}');
    expect(line.text).toBe("up");
    expect(line.fields).toEqual([
      ["target", "t"],
      ["host", "a"],
    ]);
  });

  it("are none when it is not JSON after all", () => {
    expect(readLine("{broken").text).toBe("{broken");
    expect(readLine("{broken").fields).toEqual([]);
  });
});

it("a megabyte is cut, says so, and is whole when opened", () => {
  const raw = "x".repeat(1 << 20);
  const line = readLine(raw);
  expect(line.text.length).toBe(SHOWN);
  expect(line.cut).toBe((1 << 20) - SHOWN);
  expect(whole(raw)).toBe(raw);
});
