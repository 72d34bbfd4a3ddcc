// A browser with one page, that notes whatever goes wrong in it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { eventually, PATIENCE } from "./mesh.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** What a browser itself writes when a controller is gone or refuses: the page says it too, in its own words. */
const OF_THE_NETWORK = /Failed to load resource|WebSocket connection to|ERR_CONNECTION|net::ERR/;

export async function open(options = {}) {
  const browser = await chromium.launch({
    executablePath: PROGRAM,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 820 },
    reducedMotion: "reduce",
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  return new Browser(browser, context);
}

export class Browser {
  /** Errors of pages since they were last looked at. */
  faults = [];

  constructor(browser, context) {
    this.browser = browser;
    this.context = context;
  }

  async page() {
    const page = await this.context.newPage();
    page.on("pageerror", (error) => this.faults.push(`thrown: ${error.stack ?? error}`));
    page.on("dialog", (dialog) => (this.faults.push(`a dialog: ${dialog.message()}`), dialog.dismiss()));
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      if (OF_THE_NETWORK.test(message.text())) return;
      this.faults.push(`${message.type()}: ${message.text()}`);
    });
    return page;
  }

  close = () => this.browser.close();
}

/** Opens the dashboard of a controller, signed in with a token, as a person does it. */
export async function signIn(page, url, token) {
  await page.goto(url);
  const field = page.getByLabel("API token");
  const other = page.getByRole("button", { name: "Use an API token" });
  await field.or(other).first().waitFor();
  if ((await field.count()) === 0) await other.click();
  await field.fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

/** The same with a name and a password. */
export async function passwordSignIn(page, url, name, password) {
  await page.goto(url);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

/** Goes to a place, and waits until its page is there. */
export async function go(page, hash, heading) {
  await page.evaluate((to) => (location.hash = to), hash);
  await page.getByRole("heading", { level: 1, name: heading }).waitFor();
}

/** What an accessibility checker has to say of the page as it is: nothing, one hopes. */
export async function axe(page) {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes
          .slice(0, 3)
          .map(({ html, any }) => `${html.slice(0, 200)} ${any[0]?.message ?? ""}`)
          .join("; ")}`,
    );
  });
  return violations;
}

/** Waits until a text is in sight. */
export const sees = (page, text, options = {}) => page.getByText(text, options).first().waitFor();

export { eventually };
