/** The board tells the truth about this process, also when it does not answer. */
import { violations } from "./axe";
import { expect, test } from "./holdfast";

const ROLES = ["gateway", "orders", "items", "stock", "relay", "monitor"];

test("the board shows every role of the process up", async ({ boss }) => {
  await boss.goto("/admin");
  await boss.getByRole("link", { name: "Health board" }).click();
  await expect(boss.getByRole("heading", { name: "Everything is up" })).toBeVisible();
  for (const role of ROLES) {
    await expect(boss.getByRole("article", { name: `${role}: up` })).toBeVisible();
  }
  await expect(boss.getByText(/^0 oversold, verified up to \d+/)).toBeVisible();
});

test("the board never shows old news as new", async ({ boss }) => {
  test.setTimeout(60_000);
  await boss.goto("/health-board");
  await expect(boss.getByRole("heading", { name: "Everything is up" })).toBeVisible();
  const pid = Number(process.env.HOLDFAST_SERVER_PID);
  process.kill(pid, "SIGSTOP");
  try {
    await expect(boss.getByRole("heading", { name: /^No answer for/ })).toBeVisible({ timeout: 20_000 });
    // In both schemes: what is old must be readable as what is new.
    for (const colorScheme of ["light", "dark"] as const) {
      await boss.emulateMedia({ colorScheme });
      expect(await violations(boss), colorScheme).toEqual([]);
    }
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await expect(boss.getByRole("heading", { name: /^No answer for/ })).toBeHidden({ timeout: 20_000 });
});

test("what the audit finds is the first thing that the board says", async ({ boss }) => {
  const finding = "event 41 does not follow event 39";
  let audit: object = { oversold: 0, finding };
  // Without the stream, which brings the real state of things.
  await boss.route("**/v1/stream*", (route) => route.abort());
  await boss.route("**/v1/health", async (route) => {
    const answer = await route.fetch();
    const health = await answer.json();
    await route.fulfill({ response: answer, json: { ...health, audit: { ...health.audit, ...audit } } });
  });
  await boss.goto("/admin");
  const proof = boss.getByText(new RegExp(`^Audit stopped: ${finding} · 0 oversold`));
  await expect(proof).toBeVisible();
  await expect(proof.locator("..")).not.toHaveAttribute("data-clean");
  await boss.getByRole("link", { name: "Health board" }).click();
  await expect(boss.getByRole("heading", { name: "Degraded" })).toBeVisible();
  await expect(boss.getByRole("listitem").filter({ hasText: finding }).first()).toBeVisible();
  await expect(boss).toHaveTitle(/^degraded/);
  expect(await violations(boss)).toEqual([]);

  audit = { oversold: 3 };
  await expect(boss.getByRole("listitem").filter({ hasText: "3 oversold" }).first()).toBeVisible();
  await expect(boss.getByRole("heading", { name: "Degraded" })).toBeVisible();
  audit = {};
  await expect(boss.getByRole("heading", { name: "Everything is up" })).toBeVisible();
});
