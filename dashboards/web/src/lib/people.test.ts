import { expect, test } from "vitest";
import { agentText, mappingOf, mappingText, scopeOf, scopeText } from "./people";

test("places are environments, and apps with theirs", () => {
  expect(scopeOf("staging, production/shop\n")).toEqual({ environments: ["staging"], apps: ["production/shop"] });
  expect(scopeOf("  ")).toEqual({ environments: [], apps: [] });
  expect(scopeText(scopeOf("a b/c"))).toBe("a, b/c");
  expect(scopeText({ environments: [], apps: [] })).toBe("everywhere");
});

test("a mapping names group, role and places", () => {
  const one = mappingOf("cn=devs,dc=example = operator@staging,production/shop");
  expect(one).toEqual({
    group: "cn=devs,dc=example",
    role: "operator",
    scope: { environments: ["staging"], apps: ["production/shop"] },
  });
  expect(mappingText(one)).toBe("cn=devs,dc=example=operator@staging,production/shop");
  expect(mappingText(mappingOf("admins=admin"))).toBe("admins=admin");
  for (const bad of ["admins", "=admin", "admins=king"]) expect(() => mappingOf(bad)).toThrow(/no mapping/);
});

test("browsers are named as people know them", () => {
  const of = (agent: string | null) => agentText({ agent, browser: true });
  expect(of("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0")).toBe("Firefox on Linux");
  expect(of("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0")).toBe(
    "Edge on Windows",
  );
  expect(of("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1")).toBe("Safari on iOS");
  expect(of("something")).toBe("a browser");
  expect(of(null)).toBe("a browser");
  expect(agentText({ agent: "omni-sdk/0.1.0", browser: false })).toBe("the omni command");
});
