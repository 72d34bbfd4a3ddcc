// A long list that is loaded as it is scrolled and kept up to date where it is looked at.

import { Problem } from "./api";
import { monotonic } from "./clock.svelte";
import { events } from "./events.svelte";
import { appended, inSight, itemsOf, nothing, renewed } from "./pages";
import { places } from "./places.svelte";
import { attempt, type Consistency } from "./query.svelte";
import type { Page } from "./types";

export interface Ask {
  cursor: string | undefined;
  consistency: Consistency;
}
export type LoadPage<T> = (ask: Ask, signal: AbortSignal) => Promise<Page<T>>;

export class List<T> {
  #list = $state.raw(nothing<T>());
  items = $derived(itemsOf(this.#list));
  more = $derived(this.#list.next !== undefined);
  known = $derived(this.#list.known);
  problem = $state.raw<Problem | undefined>();
  /** `monotonic()` when what is in sight came. */
  at = $state(0);
  /** It is what one controller has, without asking a leader. */
  unconfirmed = $state(false);
  #load: LoadPage<T> | undefined;
  #abort = new AbortController();
  #sight: [number, number] = [0, 50];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #growing = false;
  readonly every: number;

  constructor(every: number) {
    this.every = every;
  }

  /** Begins anew; what is shown stays until the first piece has come. */
  start(load: LoadPage<T>): void {
    this.stop();
    this.#abort = new AbortController();
    this.#load = load;
    this.#sight = [0, 50];
    void this.#run(async (signal) => {
      const page = await this.#page(load, undefined, signal);
      if (!signal.aborted) this.#list = appended(nothing<T>(), page);
    });
  }

  stop(): void {
    this.#load = undefined;
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  soon(): void {
    if (this.#load) this.#later(150);
  }

  /** These rows are in sight. */
  see(first: number, end: number): void {
    this.#sight = [first, end];
    if (this.more && !this.#growing && end > this.items.length - 60) void this.#grow();
  }

  async refresh(): Promise<void> {
    const load = this.#load;
    if (!load) return;
    await this.#run(async (signal) => {
      const due = new Set(inSight(this.#list, ...this.#sight));
      if (!this.#list.known) {
        this.#list = appended(nothing<T>(), await this.#page(load, undefined, signal));
        return;
      }
      for (let at = 0; at < this.#list.pieces.length; at += 1) {
        if (!due.has(at)) continue;
        const page = await this.#page(load, this.#list.pieces[at]?.cursor, signal);
        if (signal.aborted) return;
        const { list, more } = renewed(this.#list, at, page);
        this.#list = list;
        if (more) due.add(at + 1);
      }
    });
  }

  async #page(load: LoadPage<T>, cursor: string | undefined, signal: AbortSignal): Promise<Page<T>> {
    const [page, unconfirmed] = await attempt((consistency) => load({ cursor, consistency }, signal), signal);
    this.unconfirmed = unconfirmed;
    return page;
  }

  async #grow(): Promise<void> {
    const load = this.#load;
    const cursor = this.#list.next;
    if (!load || cursor === undefined) return;
    this.#growing = true;
    const { signal } = this.#abort;
    try {
      const page = await this.#page(load, cursor, signal);
      if (!signal.aborted && this.#list.next === cursor) this.#list = appended(this.#list, page);
    } catch (error) {
      if (!signal.aborted) this.problem = Problem.of(error);
    } finally {
      this.#growing = false;
    }
  }

  async #run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    clearTimeout(this.#timer);
    const { signal } = this.#abort;
    try {
      await work(signal);
      if (signal.aborted) return;
      this.at = monotonic();
      this.problem = undefined;
    } catch (error) {
      if (signal.aborted) return;
      this.problem = Problem.of(error);
    }
    this.#later(this.problem ? 1500 : document.hidden ? this.every * 6 : this.every);
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), ms);
  }
}

/** A list that lives as long as the component that makes it; it begins anew when what `ask` reads changes. */
export function useList<T>(ask: () => LoadPage<T>, options: { every?: number; topics?: string[] } = {}): List<T> {
  const list = new List<T>(options.every ?? 10_000);
  $effect(() => {
    const load = ask();
    void places.current;
    list.start(load);
    const forget = events.on((event) => {
      if (event === undefined || options.topics?.includes(event.topic)) list.soon();
    });
    return () => {
      forget();
      list.stop();
    };
  });
  return list;
}
