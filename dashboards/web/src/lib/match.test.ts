import { expect, it } from "vitest";
import { match } from "./match";

const items = [
  { text: "Hosts" },
  { text: "web-1", hint: "up" },
  { text: "Cordon web-1", hint: "omni cordon" },
  { text: "Who did what", hint: "omni audit" },
];
const texts = (typed: string) => match(typed, items).map(({ text }) => text);

it("the closest comes first", () => {
  expect(texts("web")).toEqual(["web-1", "Cordon web-1"]);
  expect(texts("cordon web-1")).toEqual(["Cordon web-1"]);
});
it("verbs of the command are found by their own names", () => expect(texts("audit")).toEqual(["Who did what"]));
it("nothing typed is everything", () => expect(texts("  ")).toHaveLength(4));
it("nothing fits, nothing is shown", () => expect(texts("zzz")).toEqual([]));
