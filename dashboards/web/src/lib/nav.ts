// The pages there are. A page's code comes when it is first opened.

import type { Component } from "svelte";
import type { AccessRole } from "./types";

export interface Entry {
  id: string;
  name: string;
  /** The drawing in front of it: a path in a square of 16. */
  icon: string;
  needs?: AccessRole;
}

export const entries: Entry[] = [
  { id: "", name: "Overview", icon: "M2 2h5v7H2zM9 2h5v4H9zM9 8h5v6H9zM2 11h5v3H2z" },
  { id: "hosts", name: "Hosts", icon: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01" },
  { id: "apps", name: "Apps", icon: "M8 1.8 14 5v6l-6 3.2L2 11V5zM2 5l6 3 6-3M8 8v6" },
  { id: "containers", name: "Containers", icon: "M1.5 9h13v5h-13zM4 4.5h3.5V9H4zM7.5 4.5H11V9H7.500z" },
  { id: "events", name: "Events", icon: "M2 8h3l2-5 3 10 2-5h2" },
  {
    id: "controllers",
    name: "Controllers",
    icon: "M8 2v3.500M3 13l3.200-3M13 13l-3.200-3M8 10.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
  },
  {
    id: "access",
    name: "Access",
    icon: "M5.500 9.500a3 3 0 1 1 2.600-1.500L14 8v2.500h-2V12H9.500v-1.800zM5 6.500h.01",
    needs: "admin",
  },
];

type Loader = () => Promise<{ default: Component<{ path: string[]; query: URLSearchParams }> }>;

const loaders: Record<string, (rest: number) => Loader> = {
  "": () => () => import("../pages/Overview.svelte"),
  hosts: (rest) => (rest === 0 ? () => import("../pages/Hosts.svelte") : () => import("../pages/Host.svelte")),
  apps: (rest) => (rest === 0 ? () => import("../pages/Apps.svelte") : () => import("../pages/App.svelte")),
  deploy: () => () => import("../pages/Deploy.svelte"),
  containers: (rest) =>
    rest === 0 ? () => import("../pages/Containers.svelte") : () => import("../pages/Container.svelte"),
  events: () => () => import("../pages/Events.svelte"),
  controllers: () => () => import("../pages/Controllers.svelte"),
  access: () => () => import("../pages/Access.svelte"),
};

/** The code of the page at a path, when there is such a page. */
export function pageAt(path: string[]): { key: string; load: Loader } | undefined {
  const [first = "", ...rest] = path;
  // Parts of one thing share its page.
  const depth = { hosts: 2, apps: 3, containers: 3, deploy: 1 }[first] ?? 1;
  const load = loaders[first]?.(rest.length);
  return load && { key: path.slice(0, depth).join("/"), load };
}
