/** Who may go where; and what happens when the session or the network goes away. */
import { apiAs, expect, makeItem, pageAs, sameSite, test, url } from "./holdfast";
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
  await page.goto("/admin/stock");
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await page.getByLabel("Username").fill("clerk");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/admin\/stock$/);
  await expect(page.getByRole("link", { name: "Accounts" })).toHaveCount(0);
});

test("another site cannot be the place to come back to", async ({ page }) => {
  await page.goto("/sign-in?next=https://example.com/");
  await page.getByLabel("Username").fill("clerk");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/admin$/);
});

test("a session that ended says so and leads back", async ({ browser, playwright }) => {
  const item = await makeItem(4);
  const page = await pageAs(browser, null);
  await page.goto("/sign-in");
  await page.getByLabel("Username").fill("dora");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  await page.goto(`/shop/${item.sku}`);
  const elsewhere = await playwright.request.newContext({
    baseURL: url(),
    storageState: await page.context().storageState(),
    extraHTTPHeaders: sameSite(),
  });
  expect((await elsewhere.delete("/v1/sessions/current")).status()).toBe(204);
  await elsewhere.dispose();
  await page.getByRole("button", { name: "Add to cart" }).click();
  await expect(page.getByText("Your session has ended")).toBeVisible();
  await page.getByRole("link", { name: "Continue with a new one" }).click();
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await expect(page.getByText(/Sign in again to continue/)).toBeVisible();
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
