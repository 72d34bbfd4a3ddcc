// The pages there are. A page's code comes when it is first opened.

import type { Component } from "svelte";
import type { Place } from "./router.svelte";
import { session } from "./session.svelte";
import type { AccessRole } from "./types";

export interface Entry {
  id: string;
  /** Typed after `g`, it leads there. */
  key: string;
  name: string;
  /** The drawing in front of it: a path in a square of 16. */
  icon: string;
  needs?: AccessRole;
  /** Not for those who are confined to environments or apps. */
  whole?: boolean;
}

export const entries: Entry[] = [
  { id: "", key: "o", name: "Overview", icon: "M2 2h5v7H2zM9 2h5v4H9zM9 8h5v6H9zM2 11h5v3H2z" },
  { id: "hosts", key: "h", name: "Hosts", icon: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01" },
  { id: "apps", key: "a", name: "Apps", icon: "M8 1.8 14 5v6l-6 3.2L2 11V5zM2 5l6 3 6-3M8 8v6" },
  { id: "containers", key: "c", name: "Containers", icon: "M1.5 9h13v5h-13zM4 4.5h3.5V9H4zM7.5 4.5H11V9H7.500z" },
  {
    id: "backups",
    key: "b",
    name: "Backups",
    icon: "M2 2.500h12V6H2zM3.200 6v7.500h9.600V6M6.500 9h3",
    whole: true,
  },
  {
    id: "systems",
    key: "s",
    name: "Systems",
    icon: "M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM11.500 9v5M9 11.500h5",
    whole: true,
  },
  {
    id: "alerts",
    key: "l",
    name: "Alerts",
    icon: "M3 11.500h10M4.500 11.500V7a3.500 3.500 0 0 1 7 0v4.500M7 14h2",
    whole: true,
  },
  { id: "events", key: "e", name: "Events", icon: "M2 8h3l2-5 3 10 2-5h2" },
  {
    id: "controllers",
    key: "r",
    name: "Controllers",
    icon: "M8 2v3.500M3 13l3.200-3M13 13l-3.200-3M8 10.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
  },
  {
    id: "access",
    key: "t",
    name: "Access",
    icon: "M5.500 9.500a3 3 0 1 1 2.600-1.500L14 8v2.500h-2V12H9.500v-1.800zM5 6.500h.01",
    needs: "admin",
  },
];

/** Whether somebody like the one who is signed in sees it. */
export const seen = (entry: Entry): boolean =>
  (!entry.needs || session.may(entry.needs)) && (!entry.whole || session.who === undefined || session.everywhere);

type Loader = () => Promise<{ default: Component<{ path: string[]; query: URLSearchParams }> }>;

const pages = {
  overview: () => import("../pages/Overview.svelte"),
  hosts: () => import("../pages/Hosts.svelte"),
  host: () => import("../pages/Host.svelte"),
  apps: () => import("../pages/Apps.svelte"),
  app: () => import("../pages/App.svelte"),
  deploy: () => import("../pages/Deploy.svelte"),
  containers: () => import("../pages/Containers.svelte"),
  container: () => import("../pages/Container.svelte"),
  backups: () => import("../pages/Backups.svelte"),
  alerts: () => import("../pages/Alerts.svelte"),
  events: () => import("../pages/Events.svelte"),
  controllers: () => import("../pages/Controllers.svelte"),
  systems: () => import("../pages/Systems.svelte"),
  system: () => import("../pages/System.svelte"),
  access: () => import("../pages/Access.svelte"),
  account: () => import("../pages/Account.svelte"),
} satisfies Record<string, Loader>;

/** The code of every page. */
export const loaders = (): Loader[] => Object.values(pages);

/** Of each first word of a path: how many words name one thing, and the page of the list and of one of it. */
const places: Record<string, [depth: number, list: Loader, one: Loader]> = {
  "": [1, pages.overview, pages.overview],
  hosts: [2, pages.hosts, pages.host],
  apps: [3, pages.apps, pages.app],
  containers: [3, pages.containers, pages.container],
  deploy: [1, pages.deploy, pages.deploy],
  backups: [1, pages.backups, pages.backups],
  alerts: [1, pages.alerts, pages.alerts],
  events: [1, pages.events, pages.events],
  controllers: [1, pages.controllers, pages.controllers],
  systems: [2, pages.systems, pages.system],
  access: [1, pages.access, pages.access],
  account: [1, pages.account, pages.account],
};

/** The page at a place, when there is one; parts of one thing share its page, and so its key. */
export function pageAt({ path, query }: Place): { key: string; load: Loader } | undefined {
  const [first = "", ...rest] = path;
  const place = Object.hasOwn(places, first) ? places[first] : undefined;
  if (!place) return undefined;
  const [depth, list, one] = place;
  const key = path.slice(0, depth).join("/");
  // What is deployed is said behind the path, and typed on over there: another app is another page.
  const of = first === "deploy" ? [query.get("environment"), query.get("name")].filter(Boolean).join("/") : "";
  return { key: of ? `${key}?${of}` : key, load: rest.length === 0 ? list : one };
}
