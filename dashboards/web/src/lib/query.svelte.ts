// What a page shows: loaded, loaded again now and then and when something happened, and honest about its age.

import { Problem } from "./api";
import { monotonic } from "./clock.svelte";
import { events } from "./events.svelte";
import { places } from "./places.svelte";

export type Consistency = "linearizable" | "stale";
type Load<T> = (consistency: Consistency, signal: AbortSignal) => Promise<T>;

/** Without a leader, what the answering controller has is better than nothing, if it is marked. */
const WITHOUT_LEADER = ["no_leader", "behind", "timeout"];
/** Several events at once are one reason to load. */
const SETTLE_MS = 150;

export class Query<T> {
  data = $state.raw<T | undefined>();
  problem = $state.raw<Problem | undefined>();
  /** `monotonic()` when `data` came. */
  at = $state(0);
  /** `data` is what one controller has, without asking a leader. */
  unconfirmed = $state(false);
  /** Milliseconds between loads; what moves is looked at more often. */
  every = $state(0);
  #load: Load<T> | undefined;
  #abort: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(every: number) {
    this.every = every;
  }

  start(load: Load<T>): void {
    this.#load = load;
    void this.refresh();
  }

  stop(): void {
    this.#load = undefined;
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  /** Loads soon, once for all that ask meanwhile. */
  soon(): void {
    if (this.#load) this.#later(SETTLE_MS);
  }

  async refresh(): Promise<void> {
    const load = this.#load;
    if (!load) return;
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const [data, unconfirmed] = await attempt(load, abort.signal);
      if (abort.signal.aborted) return;
      this.data = data;
      this.unconfirmed = unconfirmed;
      this.at = monotonic();
      this.problem = undefined;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = Problem.of(error);
    }
    // A page nobody looks at asks less often.
    this.#later(this.problem ? 1500 : document.hidden ? this.every * 6 : this.every);
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), ms);
  }
}

/** Loads, and says whether nobody could confirm what came. */
export async function attempt<T>(load: Load<T>, signal: AbortSignal): Promise<[T, boolean]> {
  try {
    return [await load("linearizable", signal), false];
  } catch (error) {
    if (!WITHOUT_LEADER.includes(Problem.of(error).code) || signal.aborted) throw error;
    return [await load("stale", signal), true];
  }
}

interface Options {
  /** Milliseconds between loads when nothing happens. */
  every?: number;
  /** Loads again at once when an event of these topics arrives. */
  topics?: string[];
}

/**
 * A query that lives as long as the component that makes it. When what `ask` reads changes, it is asked anew, and the
 * old answer stands until the new one comes; a page about one thing is made anew for another thing. It may return
 * nothing while there is nothing to ask.
 */
export function useQuery<T>(ask: () => Load<T> | undefined, options: Options = {}): Query<T> {
  const query = new Query<T>(options.every ?? 10_000);
  $effect(() => {
    const load = ask();
    // Another controller may know more.
    void places.current;
    if (!load) return;
    query.start(load);
    const seen = () => query.refresh();
    const visible = () => !document.hidden && void seen();
    document.addEventListener("visibilitychange", visible);
    const forget = events.on((event) => {
      if (event === undefined || options.topics?.includes(event.topic)) query.soon();
    });
    return () => {
      document.removeEventListener("visibilitychange", visible);
      forget();
      query.stop();
    };
  });
  return query;
}
