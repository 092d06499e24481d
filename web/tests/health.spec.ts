/** The board tells the truth about this process, also when it does not answer. */
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
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await expect(boss.getByRole("heading", { name: /^No answer for/ })).toBeHidden({ timeout: 20_000 });
});
