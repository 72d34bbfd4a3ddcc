// Finding by a few letters: every word typed has to be in the text; the earlier and the closer to a word's beginning,
// the better.

interface Findable {
  text: string;
  hint?: string | undefined;
}

function rank(words: string[], { text, hint = "" }: Findable): number | undefined {
  const own = text.toLowerCase();
  const all = `${own} ${hint.toLowerCase()}`;
  let sum = 0;
  for (const word of words) {
    const at = all.indexOf(word);
    if (at < 0) return undefined;
    const begins = at === 0 || /[^a-z0-9]/.test(all[at - 1] ?? "");
    sum += (begins ? 0 : 20) + Math.min(at, 40) + (at >= own.length ? 60 : 0);
  }
  return sum;
}

/** What fits `typed`, best first; all of it when nothing is typed. */
export function match<T extends Findable>(typed: string, items: T[]): T[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return items;
  const ranked = items.map((item, at) => ({ item, at, rank: rank(words, item) }));
  const fit = ranked.filter((one): one is typeof one & { rank: number } => one.rank !== undefined);
  return fit.sort((a, b) => a.rank - b.rank || a.at - b.at).map(({ item }) => item);
}
