// One folder of a snapshot. What is in a snapshot never changes, so it is asked once, and again only when somebody wants
// it: each page starts a program on a host.

import { untrack } from "svelte";
import { Problem } from "./api";
import { foldersFirst } from "./files";
import { attempt, type Consistency } from "./query.svelte";
import type { FileEntry, Page } from "./types";

/** Pages that come by themselves; folders can stand first only among those that are there. */
const BY_ITSELF = 8;

export interface AskFolder {
  cursor: string | undefined;
  consistency: Consistency;
}
type LoadFolder = (ask: AskFolder, signal: AbortSignal) => Promise<Page<FileEntry>>;

export class Folder {
  #found = $state.raw<FileEntry[]>([]);
  entries = $derived(foldersFirst(this.#found));
  /** The first page has come. */
  known = $state(false);
  busy = $state(false);
  problem = $state.raw<Problem | undefined>();
  #next = $state<string | undefined>();
  more = $derived(this.#next !== undefined);
  #load: LoadFolder | undefined;
  #abort = new AbortController();

  start(load: LoadFolder): void {
    this.stop();
    this.#abort = new AbortController();
    this.#load = load;
    this.#found = [];
    this.#next = undefined;
    this.known = false;
    this.problem = undefined;
    void this.#pages();
  }

  stop(): void {
    this.#abort.abort();
    this.#load = undefined;
    this.busy = false;
  }

  /** The first page again after it failed, or those after what is there. */
  on(): void {
    if (!this.busy) void this.#pages();
  }

  async #pages(): Promise<void> {
    const load = this.#load;
    const { signal } = this.#abort;
    if (!load) return;
    this.busy = true;
    this.problem = undefined;
    try {
      for (let n = 0; n < BY_ITSELF; n += 1) {
        const cursor = this.#next;
        const [page] = await attempt((consistency) => load({ cursor, consistency }, signal), signal);
        if (signal.aborted) return;
        this.#found = [...this.#found, ...page.items];
        this.#next = page.next_cursor ?? undefined;
        this.known = true;
        if (this.#next === undefined) break;
      }
    } catch (error) {
      if (!signal.aborted) this.problem = Problem.of(error);
    } finally {
      if (!signal.aborted) this.busy = false;
    }
  }
}

/**
 * A folder that lives as long as the component that makes it; another one begins when what `ask` reads changes. It may
 * return nothing while there is nothing to ask.
 */
export function useFolder(ask: () => LoadFolder | undefined): Folder {
  const folder = new Folder();
  $effect(() => {
    const load = ask();
    if (!load) return;
    // What it reads of itself as it begins is no reason to begin anew.
    untrack(() => folder.start(load));
    return () => folder.stop();
  });
  return folder;
}
