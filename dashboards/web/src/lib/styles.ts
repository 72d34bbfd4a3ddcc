// Style rules that a library makes while it runs, under a policy that allows none in the page.
//
// xterm writes `<style>` elements, which the policy blocks, and rightly. Rules that a script builds as objects are
// allowed. So xterm is handed a document that gives it, for each style element, a stand-in that does the same with
// such an object.

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

/** The page's document, except that its style elements are made of objects. */
export function adoptingDocument(): Document {
  if (!customElements.get("omni-rules")) customElements.define("omni-rules", Rules);
  return new Proxy(document, {
    get(target, name) {
      if (name === "createElement") {
        return (tag: string) => target.createElement(tag === "style" ? "omni-rules" : tag);
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}
