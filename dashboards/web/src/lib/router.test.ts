import { beforeAll, expect, it, vi } from "vitest";

let router: typeof import("./router.svelte");
beforeAll(async () => {
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("addEventListener", () => {});
  router = await import("./router.svelte");
});

it.each([
  [["hosts"], {}],
  [["apps", "production", "a/b?c#d"], {}],
  [["hosts", "<img src=x>"], { q: "50 %&=", tab: "logs" }],
])("a link leads where it says: %j %j", (path, query) => {
  const place = router.parse(router.link(path, query as Record<string, string>));
  expect(place.path).toEqual(path);
  expect(Object.fromEntries(place.query)).toEqual(query);
});

it("a broken link leads somewhere", () => {
  expect(router.parse("#/hosts/%E0%A4%A").path).toEqual(["hosts", "%E0%A4%A"]);
  expect(router.parse("").path).toEqual([]);
});
