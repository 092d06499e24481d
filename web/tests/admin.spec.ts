/** The staff's workplace. */
import { answerLater, answerNever, apiAs, availableOf, expect, makeItem, pageAs, test } from "./holdfast";

test("an admin adds, changes and removes an item", async ({ boss, browser }) => {
  const model = `Navigator ${Date.now().toString(36)}`;
  await boss.goto("/admin");
  await boss.getByRole("link", { name: "Items" }).click();
  await boss.getByRole("button", { name: "Add item" }).click();
  const dialog = boss.getByRole("dialog");
  await expect(dialog.getByLabel("Location")).not.toHaveValue("");
  await dialog.getByLabel("Brand").fill("Testwerk");
  await dialog.getByLabel("Model").fill(model);
  await dialog.getByLabel("Description").fill("Finds the way");
  await dialog.getByLabel("Price").fill("1299.50");
  await dialog.getByLabel("Stock").fill("7");
  await dialog.getByRole("button", { name: "Add item" }).click();
  await expect(dialog).toBeHidden();
  const row = boss.getByRole("row").filter({ hasText: model });
  await expect(row).toContainText("1,299.50");
  await expect(row).toContainText("7 in stock");

  await row.getByRole("button", { name: "Edit" }).click();
  await dialog.getByLabel("Price").fill("999");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toBeHidden();
  await expect(row).toContainText("₹999");

  const visitor = await pageAs(browser, null);
  await visitor.goto("/shop");
  await visitor.getByRole("searchbox", { name: "Search" }).fill(model);
  await expect(visitor.getByRole("article", { name: model })).toContainText("₹999");

  await row.getByRole("button", { name: "Remove", exact: true }).click();
  await boss.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  await expect(row).toHaveCount(0);
  await visitor.reload();
  await expect(visitor.getByRole("heading", { name: "Nothing matches" })).toBeVisible();
  await visitor.context().close();
});

test("an item that is promised to somebody cannot be removed, and the page says why", async ({ boss }) => {
  const item = await makeItem(5);
  const buyer = await apiAs("ben");
  const placed = await buyer.post("/v1/orders", { data: { lines: [{ sku: item.sku, quantity: 1 }] } });
  expect(placed.status()).toBe(201);
  await buyer.dispose();
  await boss.goto("/admin/items");
  await boss.getByRole("searchbox", { name: "Search" }).fill(item.model);
  const row = boss.getByRole("row").filter({ hasText: item.sku });
  await row.getByRole("button", { name: "Remove" }).click();
  await boss.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(boss.getByRole("dialog").getByRole("alert")).toContainText(/held or promised/);
});

test("a change over somebody else's change is refused, not lost", async ({ boss }) => {
  const item = await makeItem(5);
  await boss.goto("/admin/items");
  await boss.getByRole("searchbox", { name: "Search" }).fill(item.model);
  const row = boss.getByRole("row").filter({ hasText: item.sku });
  await row.getByRole("button", { name: "Edit" }).click();
  const dialog = boss.getByRole("dialog");
  await dialog.getByLabel("Description").fill("Mine");
  const other = await apiAs("clerk");
  const changed = await other.patch(`/v1/items/${item.sku}`, { data: { description: "Theirs" } });
  expect(changed.status()).toBe(200);
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByRole("alert")).toContainText(/Somebody else changed this/);
  const now = await (await other.get(`/v1/items/${item.sku}`)).json();
  expect(now.description).toBe("Theirs");
  await other.dispose();
});

test("stock is received, adjusted, counted and moved in place, and every movement says who and why", async ({
  boss,
}) => {
  const item = await makeItem(10);
  await boss.goto("/admin/stock");
  await boss.getByRole("searchbox", { name: "Search" }).fill(item.model);
  const cell = boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 10 available`) });
  await cell.click();
  const sheet = boss.getByRole("dialog");
  await sheet.getByLabel("Units").fill("5");
  await sheet.getByRole("button", { name: "Receive" }).click();
  await expect(
    boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 15 available`) }),
  ).toBeVisible();

  await boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 15 available`) }).click();
  await sheet.getByText("Adjust", { exact: true }).click();
  await sheet.getByLabel("Units").fill("-3");
  await sheet.getByLabel("Reason").selectOption("damage");
  await sheet.getByLabel("Note").fill("fell off the shelf");
  await sheet.getByRole("button", { name: "Adjust" }).click();
  await expect(
    boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 12 available`) }),
  ).toBeVisible();

  await boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 12 available`) }).click();
  await sheet.getByText("Count", { exact: true }).click();
  await sheet.getByLabel("Counted").fill("11");
  await sheet.getByRole("button", { name: "Count" }).click();
  await expect(
    boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 11 available`) }),
  ).toBeVisible();

  await boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 11 available`) }).click();
  await sheet.getByText("Transfer", { exact: true }).click();
  await sheet.getByLabel("Units").fill("4");
  await sheet.getByRole("button", { name: "Transfer" }).click();
  await expect(
    boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 7 available`) }),
  ).toBeVisible();
  await expect(
    boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 4 available`) }),
  ).toBeVisible();
  expect(await availableOf(item.sku)).toBe(11);

  await boss.goto(`/admin/items/${item.sku}`);
  const movements = boss.getByRole("table", { name: "Movements" });
  const damage = movements.getByRole("row").filter({ hasText: "damage" });
  await expect(damage).toContainText("−3");
  await expect(damage).toContainText("12");
  await expect(damage).toContainText("boss");
  await expect(movements.getByRole("row").filter({ hasText: "+5" })).toBeVisible();
});

test("an order is fulfilled and returned, and the drawer shows where it came from", async ({ boss }) => {
  const item = await makeItem(5);
  const buyer = await apiAs("ben");
  const order = await (
    await buyer.post("/v1/orders", { data: { lines: [{ sku: item.sku, quantity: 2 }] } })
  ).json();
  await buyer.dispose();
  await boss.goto(`/admin/orders?order=${order.id}`);
  const drawer = boss.getByRole("dialog", { name: "Order", exact: true });
  await expect(drawer.getByText(/^2 from /)).toBeVisible();
  await drawer.getByRole("button", { name: "Fulfil", exact: true }).click();
  await boss
    .getByRole("dialog", { name: "Fulfil this order?" })
    .getByRole("button", { name: "Fulfil" })
    .click();
  await expect(drawer.getByText("fulfilled", { exact: true })).toBeVisible();
  await drawer.getByRole("button", { name: "Return" }).click();
  await boss
    .getByRole("dialog", { name: "Book the return?" })
    .getByRole("button", { name: "Book return" })
    .click();
  await expect(drawer.getByText("returned", { exact: true })).toBeVisible();
  expect(await availableOf(item.sku)).toBe(5);
});

test("a CSV import is checked first, then done, with one line per bad row", async ({ boss }) => {
  const sku = `csv-${Date.now().toString(36)}`;
  const api = await apiAs("boss");
  const location = (await (await api.get("/v1/locations")).json()).items[0].code;
  const csv = [
    "sku,brand,model,description,price,currency,location,quantity",
    `${sku},Testwerk,Imported,From a file,49.90,INR,${location},8`,
    `${sku}-bad,Testwerk,Broken,From a file,not-a-price,INR,${location},8`,
  ].join("\n");
  await boss.goto("/admin/import");
  await boss
    .locator('input[type="file"]')
    .setInputFiles({ name: "items.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await boss.getByRole("button", { name: "Dry run" }).click();
  await expect(boss.getByText("Dry run: nothing was changed")).toBeVisible();
  await expect(boss.getByRole("table", { name: "Bad rows" }).getByRole("row")).toHaveCount(2);
  expect((await api.get(`/v1/items/${sku}`)).status()).toBe(404);
  await boss.getByRole("button", { name: "Import", exact: true }).click();
  await expect(boss.getByText("Done", { exact: true })).toBeVisible();
  await expect.poll(async () => (await api.get(`/v1/items/${sku}`)).status()).toBe(200);
  expect(await availableOf(sku)).toBe(8);
  expect((await api.get(`/v1/items/${sku}-bad`)).status()).toBe(404);
  await api.dispose();
});

test("an API key is shown once, works, and stops working when revoked", async ({
  boss,
  playwright,
  baseURL,
}) => {
  const name = `key-${Date.now().toString(36)}`;
  await boss.goto("/admin/api-keys");
  await boss.getByRole("button", { name: "New key" }).click();
  const dialog = boss.getByRole("dialog");
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByLabel("Role").selectOption("service");
  await dialog.getByRole("button", { name: "Make key" }).click();
  const key = (await dialog.locator("code").textContent()) ?? "";
  expect(key.length).toBeGreaterThan(20);
  await dialog.getByRole("button", { name: "Done" }).click();
  const program = await playwright.request.newContext({
    baseURL,
    extraHTTPHeaders: { Authorization: `Bearer ${key}` },
  });
  expect((await program.get("/v1/orders")).status()).toBe(200);
  const row = boss.getByRole("row").filter({ hasText: name });
  await expect(row).not.toContainText(key);
  await row.getByRole("button", { name: "Revoke" }).click();
  await boss.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(row).toHaveCount(0);
  await expect.poll(async () => (await program.get("/v1/orders")).status(), { timeout: 3_000 }).toBe(401);
  await program.dispose();
});

test("an account's role changes what it may do", async ({ boss }) => {
  await boss.goto("/admin/accounts");
  const staff = await apiAs("dora");
  expect((await staff.get("/v1/locations")).status()).toBe(403);
  const row = boss.getByRole("row").filter({ hasText: "dora" });
  await row.getByLabel("Role of dora").selectOption("staff");
  await boss.getByRole("dialog").getByRole("button", { name: "Change" }).click();
  await expect(row.getByLabel("Role of dora")).toHaveValue("staff");
  await expect
    .poll(async () => (await staff.get("/v1/locations")).status(), { timeout: 3_000 })
    .not.toBe(403);
  await row.getByLabel("Role of dora").selectOption("customer");
  await boss.getByRole("dialog").getByRole("button", { name: "Change" }).click();
  await expect(row.getByLabel("Role of dora")).toHaveValue("customer");
  await staff.dispose();
});

test("the table of items scrolls through thousands of rows and keeps few of them alive", async ({ boss }) => {
  await boss.goto("/admin/items");
  await expect(boss.getByRole("table", { name: "Items" })).toBeVisible();
  await boss.mouse.wheel(0, 20_000);
  await boss.waitForTimeout(300);
  expect(await boss.locator("[data-row]").count()).toBeLessThan(60);
  await boss.mouse.wheel(0, -20_000);
  await boss.getByRole("columnheader", { name: /Price/ }).getByRole("button").click();
  await expect(boss.getByRole("columnheader", { name: /Price/ })).toHaveAttribute("aria-sort", "ascending");
});

test("a new location is a column of the stock grid at once", async ({ boss }) => {
  const code = `L${Date.now().toString(36)}`;
  await boss.goto("/admin/locations");
  await boss.getByRole("button", { name: "New location" }).click();
  const dialog = boss.getByRole("dialog");
  await dialog.getByLabel("Name").fill(`Depot ${code}`);
  await dialog.getByLabel("Code").fill(code);
  // Last in line, so that the other tests' items stay where they are.
  await dialog.getByLabel("Priority").fill("900");
  await dialog.getByRole("button", { name: "Add location" }).click();
  await expect(dialog).toBeHidden();
  await expect(boss.getByRole("row").filter({ hasText: code })).toBeVisible();
  await boss.getByRole("link", { name: "Stock" }).click();
  await expect(boss.getByRole("columnheader", { name: `Depot ${code}` })).toBeAttached();
});

test("stock work that is not decided at once is announced as done only when it is", async ({ boss }) => {
  const item = await makeItem(10);
  await boss.goto(`/admin/items/${item.sku}`);
  const receive = async (units: string) => {
    await boss
      .getByRole("button", { name: /^Change stock at/ })
      .first()
      .click();
    await boss.getByRole("dialog").getByLabel("Units").fill(units);
    await boss.getByRole("dialog").getByRole("button", { name: "Receive" }).click();
  };
  const decide = await answerNever(boss, "**/v1/stock/receipts");
  await receive("5");
  await expect(boss.getByText("Received; it is being decided")).toBeVisible();
  await expect(boss.getByText(/^5 received at/)).toHaveCount(0);
  await decide();
  await answerLater(boss, "**/v1/stock/receipts");
  await receive("7");
  await expect(boss.getByText(/^7 received at/)).toBeVisible();
  expect(await availableOf(item.sku)).toBe(17);
});

test("what was refused can be tried again once things have changed", async ({ boss }) => {
  const item = await makeItem(1);
  await boss.goto("/admin/stock");
  await boss.getByRole("searchbox", { name: "Search" }).fill(item.model);
  await boss.getByRole("button", { name: new RegExp(`^${item.sku} at .*: 1 available`) }).click();
  const sheet = boss.getByRole("dialog");
  await sheet.getByText("Adjust", { exact: true }).click();
  await sheet.getByLabel("Units").fill("-3");
  await sheet.getByRole("button", { name: "Adjust" }).click();
  await expect(sheet.getByRole("alert")).toContainText("There are not that many units");
  const other = await apiAs("clerk");
  const location = (await (await other.get(`/v1/stock/${item.sku}`)).json()).locations[0].location;
  const body = { sku: item.sku, location, quantity: 5 };
  expect((await other.post("/v1/stock/receipts", { data: body })).status()).toBe(201);
  await other.dispose();
  await sheet.getByRole("button", { name: "Adjust" }).click();
  await expect(sheet).toBeHidden();
  expect(await availableOf(item.sku)).toBe(3);
});

test("an import that fails says so, and why", async ({ boss }) => {
  await boss.goto("/admin/import");
  await boss
    .locator('input[type="file"]')
    .setInputFiles({ name: "items.csv", mimeType: "text/csv", buffer: Buffer.from("sku,colour\nA,red\n") });
  await boss.getByRole("button", { name: "Import", exact: true }).click();
  const told = boss.getByRole("alert").filter({ hasText: "Import failed" });
  await expect(told).toContainText(/this column is unknown.*0 rows applied/);
  await expect(boss.getByText("Import finished")).toHaveCount(0);
});

test("a price in a currency that browsers round is shown and edited in full", async ({ boss }) => {
  const item = await makeItem(2, { price: { amount: 129_950, currency: "HUF" } });
  await boss.goto(`/shop/${item.sku}`);
  await expect(boss.getByText(/1,299\.50/)).toBeVisible();
  await boss.goto("/admin/items");
  await boss.getByRole("searchbox", { name: "Search" }).fill(item.model);
  const row = boss.getByRole("row").filter({ hasText: item.sku });
  await row.getByRole("button", { name: "Edit" }).click();
  await expect(boss.getByRole("dialog").getByLabel("Price")).toHaveValue("1299.50");
});
