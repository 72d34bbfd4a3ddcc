import { expect, it } from "vitest";
import { appended, inSight, itemsOf, nothing, renewed } from "./pages";
import type { Page } from "./types";

const page = (items: number[], next?: string): Page<number> => ({ items, next_cursor: next });
const three = [page([1, 2], "2"), page([3, 4], "4"), page([5])].reduce(appended<number>, nothing<number>());

it("pieces follow each other", () => {
  expect(itemsOf(three)).toEqual([1, 2, 3, 4, 5]);
  expect(three.pieces.map((piece) => piece.cursor)).toEqual([undefined, "2", "4"]);
  expect(three.next).toBeUndefined();
});

it("only what is in sight is loaded again, and always the first", () => {
  expect(inSight(three, 0, 2)).toEqual([0]);
  expect(inSight(three, 3, 5)).toEqual([0, 1, 2]);
  expect(inSight(three, 4, 5)).toEqual([0, 2]);
  expect(inSight(appended(nothing<number>(), page([])), 0, 0)).toEqual([0]);
});

it("a piece that ends where it did leaves the others alone", () => {
  const { list, more } = renewed(three, 0, page([1, 20], "2"));
  expect(more).toBe(false);
  expect(itemsOf(list)).toEqual([1, 20, 3, 4, 5]);
});

it("a piece that ends elsewhere has the next one follow, so that nothing is lost between them", () => {
  const { list, more } = renewed(three, 0, page([0, 1], "1"));
  expect(more).toBe(true);
  expect(list.pieces[1]?.cursor).toBe("1");
});

it("a list that became shorter ends there", () => {
  const { list } = renewed(three, 1, page([3]));
  expect(itemsOf(list)).toEqual([1, 2, 3]);
  expect(list.next).toBeUndefined();
});

it("a list that became longer goes on", () => {
  const { list } = renewed(three, 2, page([5, 6], "6"));
  expect(itemsOf(list)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(list.next).toBe("6");
});
