// What every page wants to know: who asks, how the cluster is, and which controllers there are.

import { get } from "./api";
import { clock } from "./clock.svelte";
import { places } from "./places.svelte";
import { useQuery } from "./query.svelte";
import { session } from "./session.svelte";
import type { Query } from "./query.svelte";
import type { Controller, Status } from "./types";

/** The cluster is asked this often whether it is there, so that its loss is seen within seconds. */
const PULSE_MS = 3000;

/** Of the controller that answered first, which is where this page is from, and of the one that answers now. */
class Versions {
  first = $state("");
  now = $state("");
}

interface Cluster {
  status: Query<Status>;
  controllers: Query<Controller[]>;
  versions: Versions;
}

let cluster: Cluster | undefined;

/** Begins to follow the cluster; called once, by the frame around all pages. */
export function followCluster(): Cluster {
  const versions = new Versions();
  const status = useQuery(
    () => async (consistency, signal) => {
      const found = await get("/api/v1/status", { query: { consistency }, signal });
      clock.learn(found.now);
      versions.now = found.version ?? "";
      versions.first ||= versions.now;
      return found;
    },
    { every: PULSE_MS, topics: ["cluster", "controller", "host"] },
  );
  const controllers = useQuery(
    () => async (consistency, signal) => {
      const { items } = await get("/api/v1/controllers", { query: { consistency }, signal });
      places.learn(items.map((one) => one.api));
      places.name = items.find((one) => one.answering)?.name ?? "";
      return items;
    },
    { every: 10_000, topics: ["controller"] },
  );
  useQuery(
    () => async (_, signal) => {
      session.who = await get("/api/v1/whoami", { signal });
    },
    { every: 60_000, topics: ["token", "user"] },
  );
  cluster = { status, controllers, versions };
  return cluster;
}

export function useCluster(): Cluster {
  if (!cluster) throw new Error("the cluster is not followed yet");
  return cluster;
}
