// Words about people.

import { Problem } from "./problem";
import type { AccessRole, OidcGroup, Scope, SessionView } from "./types";

/** Where a role holds. */
export const scopeText = (scope?: Scope): string =>
  [...(scope?.environments ?? []), ...(scope?.apps ?? [])].join(", ") || "everywhere";

/** What was typed as environments and apps, parted by commas or blanks. */
export function scopeOf(text: string): Scope {
  const places = text.split(/[\s,]+/).filter((place) => place !== "");
  return {
    environments: places.filter((place) => !place.includes("/")),
    apps: places.filter((place) => place.includes("/")),
  };
}

const ROLES: AccessRole[] = ["viewer", "operator", "admin"];

/** What members of a group may do, as it is typed: `GROUP=ROLE`, or `GROUP=ROLE@PLACE,PLACE`. */
export function mappingText(one: OidcGroup): string {
  const places = [...(one.scope?.environments ?? []), ...(one.scope?.apps ?? [])].join(",");
  return `${one.group}=${one.role}${places ? `@${places}` : ""}`;
}

/** The same, read; a group's name may hold `=` itself. */
export function mappingOf(text: string): OidcGroup {
  const at = text.lastIndexOf("=");
  const group = text.slice(0, Math.max(at, 0)).trim();
  const [word = "", places = ""] = text.slice(at + 1).split("@", 2);
  const role = ROLES.find((one) => one === word.trim());
  if (group === "" || role === undefined) {
    const detail = `“${text}” is no mapping: write GROUP=ROLE or GROUP=ROLE@PLACE,PLACE`;
    throw new Problem({ title: "No mapping", detail, code: "invalid", status: 0 });
  }
  return { group, role, scope: scopeOf(places) };
}

const BROWSERS: [RegExp, string][] = [
  [/\bEdg\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bFirefox\//, "Firefox"],
  [/Chrome\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/\b(iPhone|iPad)\b/, "iOS"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
];

/** What a session is used with, as far as it says. A guess for people, never for decisions. */
export function agentText(session: Pick<SessionView, "agent" | "browser">): string {
  const agent = session.agent ?? "";
  if (!session.browser) return /^omni-sdk\//.test(agent) ? "the omni command" : agent || "a program";
  const find = (list: [RegExp, string][]) => list.find(([pattern]) => pattern.test(agent))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (!browser) return "a browser";
  return system ? `${browser} on ${system}` : browser;
}
