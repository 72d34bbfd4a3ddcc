// A long list in pieces, as the API gives it: pure book-keeping of what is loaded and what to load next.
//
// Pieces are loaded as the reader comes near their end. A refresh loads again only the pieces in sight; when one of
// them ends elsewhere than before, the next is loaded too, so that the list stays whole.

import type { Page } from "./types";

export interface Piece<T> {
  /** What to ask for it; nothing for the first. */
  cursor: string | undefined;
  items: T[];
}

export interface Pieces<T> {
  pieces: Piece<T>[];
  /** What to ask for the piece after the last; nothing when there is none. */
  next: string | undefined;
  /** Something has been loaded. */
  known: boolean;
}

export const nothing = <T>(): Pieces<T> => ({ pieces: [], next: undefined, known: false });

export const itemsOf = <T>(list: Pieces<T>): T[] => list.pieces.flatMap((piece) => piece.items);

/** With one more piece at the end. */
export function appended<T>(list: Pieces<T>, page: Page<T>): Pieces<T> {
  const piece = { cursor: list.next, items: page.items };
  return { pieces: [...list.pieces, piece], next: page.next_cursor ?? undefined, known: true };
}

/** Positions of the pieces that hold any of the rows from `first` to before `end`. */
export function inSight<T>(list: Pieces<T>, first: number, end: number): number[] {
  const found: number[] = [];
  let start = 0;
  list.pieces.forEach((piece, at) => {
    const stop = start + piece.items.length;
    // The first piece is always looked at, or an empty list would never notice its first item.
    if (at === 0 || (start < end && stop > first)) found.push(at);
    start = stop;
  });
  return found;
}

/** With piece `at` loaded anew; and whether the one after it has to be as well. */
export function renewed<T>(list: Pieces<T>, at: number, page: Page<T>): { list: Pieces<T>; more: boolean } {
  const cursor = page.next_cursor ?? undefined;
  const pieces = list.pieces.map((piece, n) => (n === at ? { ...piece, items: page.items } : piece));
  const after = pieces[at + 1];
  if (cursor === undefined) {
    return { list: { pieces: pieces.slice(0, at + 1), next: undefined, known: true }, more: false };
  }
  if (after === undefined) return { list: { pieces, next: cursor, known: true }, more: false };
  if (after.cursor === cursor) return { list: { ...list, pieces }, more: false };
  pieces[at + 1] = { ...after, cursor };
  return { list: { ...list, pieces }, more: true };
}
