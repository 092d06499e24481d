/** Who may go where; and what happens when the session or the network goes away. */
import { violations } from "./axe";
import { apiAs, availableOf, endSession, expect, makeItem, pageAs, signIn, test } from "./holdfast";
import { PASSWORD } from "./server";

const STAFF_PAGES = [
  "/admin",
  "/admin/items",
  "/admin/stock",
  "/admin/locations",
  "/admin/orders",
  "/admin/import",
  "/admin/accounts",
  "/admin/api-keys",
  "/health-board",
];

test("a customer is kept out of the admin pages and their API", async ({ customer }) => {
  for (const path of STAFF_PAGES) {
    await customer.goto(path);
    await expect(customer.getByRole("heading", { name: "Not allowed" }), path).toBeVisible();
  }
  await expect(customer.getByRole("link", { name: "Admin" })).toHaveCount(0);
  const api = await apiAs("anna");
  for (const path of [
    "/v1/locations",
    "/v1/stock",
    "/v1/accounts",
    "/v1/api-keys",
    "/v1/health",
    "/v1/stats",
    "/v1/dead-letters",
  ]) {
    expect((await api.get(path)).status(), path).toBe(403);
  }
  expect(
    (
      await api.post("/v1/items", {
        data: { brand: "a", model: "b", description: "", price: { amount: 1, currency: "INR" } },
      })
    ).status(),
  ).toBe(403);
  await api.dispose();
});

test("a visitor is sent to sign in and comes back", async ({ page }) => {
  await page.goto("/admin/stock?from=a%26b");
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await signIn(page, "clerk");
  await expect(page).toHaveURL(/\/admin\/stock\?from=a%26b$/);
  await expect(page.getByRole("link", { name: "Accounts" })).toHaveCount(0);
});

test("another site cannot be the place to come back to", async ({ page }) => {
  await page.goto("/sign-in?next=https://example.com/");
  await signIn(page, "clerk");
  await expect(page).toHaveURL(/\/admin$/);
});

test("a session that ends while a form is filled in asks who is there, and the form stays", async ({
  browser,
}) => {
  const page = await pageAs(browser, null);
  await page.goto("/sign-in?next=/admin/items");
  await signIn(page, "clerk");
  const model = `Kept ${Date.now().toString(36)}`;
  await page.getByRole("button", { name: "Add item" }).click();
  const form = page.getByRole("dialog", { name: "New item" });
  await form.getByLabel("Brand").fill("Testwerk");
  await form.getByLabel("Model").fill(model);
  await form.getByLabel("Description").fill("Written for a long time");
  await form.getByLabel("Price").fill("12.50");
  await endSession(page);
  await form.getByRole("button", { name: "Add item" }).click();

  const question = page.getByRole("dialog", { name: "Your session has ended" });
  await expect(question.getByLabel("Username")).toHaveValue("clerk");
  await page.keyboard.press("Escape");
  await expect(question).toBeVisible();
  await question.getByLabel("Password").fill("this is not it at all");
  await question.getByRole("button", { name: "Sign in" }).click();
  await expect(question.getByRole("alert")).toContainText("do not belong together");
  expect(await violations(page)).toEqual([]);
  await signIn(page, "clerk");
  await expect(question).toBeHidden();
  await expect(form.getByLabel("Description")).toHaveValue("Written for a long time");
  await form.getByRole("button", { name: "Add item" }).click();
  await expect(form).toBeHidden();
  await expect(page.getByRole("row").filter({ hasText: model })).toBeVisible();
  await page.context().close();
});

test("a sheet beside its cell outlives the session too", async ({ browser }) => {
  const item = await makeItem(4);
  const page = await pageAs(browser, null);
  await page.goto(`/sign-in?next=/admin/items/${item.sku}`);
  await signIn(page, "clerk");
  await page
    .getByRole("button", { name: /^Change stock at/ })
    .first()
    .click();
  const sheet = page.getByRole("dialog", { name: /^Change stock at/ });
  await sheet.getByLabel("Reference").fill("Delivery note 17");
  await sheet.getByLabel("Units").fill("6");
  await endSession(page);
  await sheet.getByRole("button", { name: "Receive" }).click();
  const question = page.getByRole("dialog", { name: "Your session has ended" });
  await question.getByLabel("Password").click();
  await signIn(page, "clerk");
  await expect(question).toBeHidden();
  await expect(sheet.getByLabel("Reference")).toHaveValue("Delivery note 17");
  await sheet.getByRole("button", { name: "Receive" }).click();
  await expect(sheet).toBeHidden();
  expect(await availableOf(item.sku)).toBe(10);
  await page.context().close();
});

test("another account than the one whose session ended starts with a fresh page", async ({ browser }) => {
  const page = await pageAs(browser, null);
  await page.goto("/sign-in?next=/account?from=mail");
  await signIn(page, "dora");
  await page.getByLabel("Current password").fill("half done");
  await endSession(page);
  await page.getByLabel("New password").fill("a long enough password");
  await page.getByRole("button", { name: "Change" }).click();
  const question = page.getByRole("dialog", { name: "Your session has ended" });
  await expect(question).toBeVisible();
  await question.getByLabel("Username").fill("ben");
  await question.getByLabel("Password").fill(PASSWORD);
  await question.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "ben" })).toBeVisible();
  await expect(page.getByLabel("Current password")).toHaveValue("");
  await expect(page).toHaveURL(/\/account\?from=mail$/);
  await page.context().close();
});

test("whoever does not sign in again goes on as a visitor", async ({ browser }) => {
  const item = await makeItem(4);
  const page = await pageAs(browser, null);
  await page.goto(`/sign-in?next=/shop/${item.sku}`);
  await signIn(page, "dora");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  await endSession(page);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.getByRole("button", { name: "Continue signed out" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.getByRole("link", { name: "Sign in" })).toBeVisible();
  await expect(page).toHaveURL(new RegExp(`/shop/${item.sku}$`));
  await page.context().close();
});

test("offline is said, and the page goes on by itself afterwards", async ({ customer }) => {
  const item = await makeItem(4);
  await customer.goto(`/shop/${item.sku}`);
  await expect(customer.getByText("Only 4 left")).toBeVisible();
  await customer.context().setOffline(true);
  await expect(customer.getByText("You are offline.")).toBeVisible();
  await customer.getByRole("button", { name: "Buy now" }).click();
  await customer.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  await expect(customer.getByRole("dialog").getByText(/cannot be reached/)).toBeVisible();
  await customer.context().setOffline(false);
  await expect(customer.getByText("You are offline.")).toHaveCount(0);
  await customer.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  await expect(customer.getByText("Order accepted")).toBeVisible();
});

test("the pages obey a strict Content-Security-Policy", async ({ page, request }) => {
  const policy = (await request.get("/shop")).headers()["content-security-policy"] ?? "";
  expect(policy).toMatch(/default-src 'self'|default-src 'none'/);
  const scripts = /script-src([^;]*)/.exec(policy)?.[1] ?? policy;
  expect(scripts).not.toMatch(/unsafe|https?:|\*/);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) complaints.push(message.text());
  });
  await page.goto("/shop");
  await expect(page.getByRole("article").first()).toBeVisible();
  expect(complaints).toEqual([]);
});

test("the shop can be used with the keyboard alone", async ({ customer }) => {
  const item = await makeItem(4);
  await customer.goto(`/shop/${item.sku}`);
  await expect(customer.getByRole("button", { name: "Buy now" })).toBeVisible();
  await customer.keyboard.press("Tab");
  await expect(customer.getByRole("link", { name: "Skip to content" })).toBeFocused();
  for (let i = 0; i < 30; i++) {
    await customer.keyboard.press("Tab");
    if (await customer.getByRole("button", { name: "Buy now" }).evaluate((e) => e === document.activeElement))
      break;
  }
  await expect(customer.getByRole("button", { name: "Buy now" })).toBeFocused();
  await customer.keyboard.press("Enter");
  await expect(customer.getByRole("dialog").getByLabel("Quantity")).toBeFocused();
  await customer.keyboard.press("Escape");
  await expect(customer.getByRole("dialog")).toBeHidden();
  await expect(customer.getByRole("button", { name: "Buy now" })).toBeFocused();
});
