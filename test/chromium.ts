import assert from "node:assert/strict";
import { chromium, type Browser, type Page } from "playwright-core";
import { findChromium, MISSING_CHROMIUM } from "../src/setup/browser";

// The tests run in Node, what they hand to the browser in a page.
interface AxeWindow {
  axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
}

/** The machine's Chromium, without a screen and without calls home. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  assert.ok(executablePath, MISSING_CHROMIUM);
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"] });
}

/** What axe, which the page must have loaded, finds against accessibility: a rule and the elements that break it. */
export function axeViolations(page: Page): Promise<string[]> {
  return page.evaluate(async () => (await (globalThis as unknown as AxeWindow).axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 300)).join("\n")}`));
}
