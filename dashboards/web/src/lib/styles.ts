// Style rules that xterm makes while it runs, under a policy that allows no styles in the page.
//
// xterm writes `<style>` elements and `style` attributes, which the policy blocks, and rightly. Rules and properties
// that a script sets as objects are allowed. So xterm is handed elements that do the same with such objects.

import type { Terminal } from "@xterm/xterm";

/** Stands in for a `<style>` element. */
class Rules extends HTMLElement {
  #sheet = new CSSStyleSheet();

  connectedCallback(): void {
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.#sheet];
  }

  disconnectedCallback(): void {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== this.#sheet);
  }

  override get textContent(): string {
    return [...this.#sheet.cssRules].map((rule) => rule.cssText).join("\n");
  }

  override set textContent(text: string) {
    this.#sheet.replaceSync(text);
  }
}

/** Makes `setAttribute("style", …)` set properties instead. */
function allowed<E extends HTMLElement>(element: E): E {
  element.setAttribute = (name: string, value: string) => {
    if (name === "style") element.style.cssText = value;
    else Element.prototype.setAttribute.call(element, name, value);
  };
  return element;
}

const make = (tag: string): HTMLElement => {
  const element = Document.prototype.createElement.call(document, tag === "style" ? "omni-rules" : tag);
  return tag === "span" ? allowed(element) : element;
};

/** The page's document, with elements that the policy allows; for xterm's `documentOverride`. */
export function strictDocument(): Document {
  if (!customElements.get("omni-rules")) customElements.define("omni-rules", Rules);
  return new Proxy(document, {
    get(target, name) {
      if (name === "createElement") return make;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

/** Opens a terminal. Some of its parts ask the real document whatever it was given, so that one is strict meanwhile. */
export function openStrictly(terminal: Terminal, box: HTMLElement): void {
  document.createElement = make as Document["createElement"];
  try {
    terminal.open(box);
  } finally {
    // What shadowed the method goes; the document's own is there again.
    Reflect.deleteProperty(document, "createElement");
  }
}
