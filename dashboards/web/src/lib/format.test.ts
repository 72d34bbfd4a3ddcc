import { describe, expect, it } from "vitest";
import { bytes, count, duration, moment, percent, plural, rate, share } from "./format";

describe("what is absent", () => {
  it("is a dash and never zero", () => {
    for (const show of [bytes, rate, percent, count, duration]) {
      expect(show(null)).toBe("–");
      expect(show(undefined)).toBe("–");
      expect(show(Number.NaN)).toBe("–");
    }
    expect(moment(null)).toBe("–");
    expect(moment("nonsense")).toBe("–");
    expect(share(1, 0)).toBeUndefined();
  });
});

describe("numbers", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1048575, "1.0 MiB"],
    [123456789, "118 MiB"],
    [2 ** 60, "1024 PiB"],
  ])("%d bytes is %s", (value, text) => expect(bytes(value)).toBe(text));

  it.each([
    [0, "0 %"],
    [0.04, "0.0 %"],
    [0.5, "0.5 %"],
    [0.96, "1 %"],
    [99.7, "100 %"],
  ])("%d percent is %s", (value, text) => expect(percent(value)).toBe(text));

  it.each([
    [0, "0 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [3_600_000, "1 h"],
    [12_000_000, "3 h 20 min"],
    [86_400_000, "24 h"],
    [200_000_000, "2 d"],
  ])("%d ms is %s", (value, text) => expect(duration(value)).toBe(text));

  it("counts with the right word", () => {
    expect(plural(1, "host")).toBe("1 host");
    expect(plural(1200, "host")).toBe("1,200 hosts");
    expect(plural(0, "entry", "entries")).toBe("0 entries");
  });
});
