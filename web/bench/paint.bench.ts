/**
 * How long the shop's first 60 cards take, in a new browser context (nothing cached) and when its files are cached,
 * in turns with a bare page of as many cards that is written into its HTML. A program that measures, not a test.
 */
import type { Page } from "@playwright/test";
import { test } from "../tests/holdfast";

const RUNS = 9;
const CARDS = 60;

/** Milliseconds from the beginning of the navigation to the frame that shows the cards. */
async function paint(page: Page, path: string): Promise<number> {
  await page.goto(path, { waitUntil: "commit" });
  await page.waitForFunction((cards) => document.querySelectorAll("article").length >= cards, CARDS, {
    polling: "raf",
  });
  return page.evaluate(() => performance.now());
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN);
}

test("the shop's first 60 cards", async ({ browser, baseURL }) => {
  const first: number[] = [];
  const again: number[] = [];
  const bare: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const context = await browser.newContext({ baseURL, reducedMotion: "reduce" });
    await context.route("**/bare", (route) =>
      route.fulfill({
        contentType: "text/html",
        body: `<!doctype html><title>Bare</title>${"<article><h2>Model</h2><p>Text</p></article>".repeat(CARDS)}`,
      }),
    );
    const page = await context.newPage();
    first.push(await paint(page, "/shop"));
    await page.waitForLoadState("networkidle");
    again.push(await paint(page, "/shop"));
    await page.waitForLoadState("networkidle");
    bare.push(await paint(page, "/bare"));
    await context.close();
  }
  const [one, two, reference] = [median(first), median(again), median(bare)];
  console.log(`milliseconds to ${CARDS} cards, medians of ${RUNS}:`);
  console.log(`  nothing cached  ${one} (${first.map(Math.round).join(", ")})`);
  console.log(`  files cached    ${two} (${again.map(Math.round).join(", ")})`);
  console.log(`  bare page       ${reference} (${bare.map(Math.round).join(", ")})`);
});
