// Light or dark: as the system says, until the reader says otherwise.

const KEY = "omni-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

class Theme {
  #chosen = $state(localStorage.getItem(KEY) ?? "");
  #system = $state(system.matches);
  dark = $derived(this.#chosen === "" ? this.#system : this.#chosen === "dark");

  constructor() {
    system.addEventListener("change", ({ matches }) => (this.#system = matches));
  }

  toggle(): void {
    const dark = !this.dark;
    // Back at what the system says, follow the system again.
    this.#chosen = dark === this.#system ? "" : dark ? "dark" : "light";
    if (this.#chosen) localStorage.setItem(KEY, this.#chosen);
    else localStorage.removeItem(KEY);
  }
}

export const theme = new Theme();
