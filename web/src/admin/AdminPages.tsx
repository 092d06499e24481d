/** The workplace of the staff: one frame, one page a task. */
import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { NotFound, PageLoading } from "../shell/states";
import { AdminShell } from "./AdminShell";
import { HomePage } from "./HomePage";

const ItemsPage = lazy(() => import("./ItemsPage"));
const ItemStockPage = lazy(() => import("./ItemStockPage"));
const StockPage = lazy(() => import("./StockPage"));
const LocationsPage = lazy(() => import("./LocationsPage"));
const OrdersPage = lazy(() => import("./OrdersPage"));
const ImportPage = lazy(() => import("./ImportPage"));
const AccountsPage = lazy(() => import("./AccountsPage"));
const ApiKeysPage = lazy(() => import("./ApiKeysPage"));

export default function AdminPages() {
  return (
    <AdminShell>
      <Suspense fallback={<PageLoading />}>
        <Switch>
          <Route path="/admin" component={HomePage} />
          <Route path="/admin/items" component={ItemsPage} />
          <Route path="/admin/items/:sku">
            {({ sku }) => <ItemStockPage key={sku} sku={decodeURIComponent(sku)} />}
          </Route>
          <Route path="/admin/stock" component={StockPage} />
          <Route path="/admin/locations" component={LocationsPage} />
          <Route path="/admin/orders" component={OrdersPage} />
          <Route path="/admin/import" component={ImportPage} />
          <Route path="/admin/accounts" component={AccountsPage} />
          <Route path="/admin/api-keys" component={ApiKeysPage} />
          <Route component={NotFound} />
        </Switch>
      </Suspense>
    </AdminShell>
  );
}
