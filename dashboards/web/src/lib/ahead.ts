// Fetches the code of all pages once there is time: when the controller that the page came from is gone, the page goes
// on with another one, and must not need a file that only the first would have given it.

import { loaders } from "./nav";

const LATER_MS = 1500;

export function fetchAhead(): () => void {
  const timer = setTimeout(async () => {
    const parts = [
      ...loaders(),
      () => import("../parts/Palette.svelte"),
      () => import("uplot"),
      () => import("../parts/Terminal.svelte"),
    ];
    // One after the other: what the person does goes first.
    for (const load of parts) await load().catch(() => undefined);
  }, LATER_MS);
  return () => clearTimeout(timer);
}
