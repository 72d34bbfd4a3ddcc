// Samples of one host as they arrive, each second while somebody looks.

import { socketUrl } from "./api";
import { clock, monotonic } from "./clock.svelte";
import { Socket } from "./socket";
import type { HostSample, LiveMetricsMessage } from "./types";

/** Five minutes at one a second, and a little more. */
const KEPT = 320;

export class LiveSamples {
  samples = $state.raw<HostSample[]>([]);
  latest = $state.raw<{ sample: HostSample; at: number; age: number } | undefined>();
  /** How old the newest is, milliseconds. */
  age = $derived(this.latest ? this.latest.age + clock.elapsed(this.latest.at) : Infinity);

  /** Follows a host until the function that is returned is called. */
  follow(host: string): () => void {
    this.samples = [];
    this.latest = undefined;
    const socket = new Socket({
      url: () => socketUrl("/api/v1/metrics/live", { host, consistency: "stale" }),
      text: (text) => this.#take(JSON.parse(text) as LiveMetricsMessage),
    });
    return () => socket.stop();
  }

  #take(message: LiveMetricsMessage): void {
    if (message.op !== "samples") return;
    const one = message.samples.at(-1);
    if (!one) return;
    this.latest = { sample: one.sample, at: monotonic(), age: one.age_ms };
    this.samples = [...this.samples.slice(-KEPT), one.sample];
  }
}
