// Where we are: the part of the address behind `#`, so that the controller serves one page and every place has a link.

export interface Place {
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Place {
  const text = hash.replace(/^#\/?/, "");
  const [path = "", query = ""] = text.split("?", 2);
  const parts = path.split("/").filter((part) => part !== "");
  return { path: parts.map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The link to a place; parameters without a value are left out. */
export function link(parts: string[], query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, value);
  const text = search.toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

class Router {
  place = $state.raw(parse(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.place = parse(location.hash)));
  }

  go(href: string): void {
    location.hash = href.replace(/^#/, "");
  }

  /** Changes parameters of this place without a new entry in the history. */
  tune(query: Record<string, string | undefined>): void {
    const all = { ...Object.fromEntries(this.place.query), ...query };
    history.replaceState(null, "", link(this.place.path, all));
    this.place = parse(location.hash);
  }
}

export const router = new Router();
