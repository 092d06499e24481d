/** Every page, and the frame around them. The shop comes with the first load; the rest when it is asked for. */
import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { useLiveStream } from "./api/live";
import { AppFrame } from "./shell/AppFrame";
import { RequireSession, RequireStaff } from "./shell/Require";
import { NotFound, PageLoading } from "./shell/states";
import { ShopPage } from "./shop/ShopPage";

const ItemPage = lazy(() => import("./shop/ItemPage"));
const CartPage = lazy(() => import("./cart/CartPage"));
const MyOrdersPage = lazy(() => import("./orders/MyOrdersPage"));
const SignInPage = lazy(() => import("./account/SignInPage"));
const RegisterPage = lazy(() => import("./account/RegisterPage"));
const AccountPage = lazy(() => import("./account/AccountPage"));
const AdminPages = lazy(() => import("./admin/AdminPages"));
const HealthBoardPage = lazy(() => import("./health/HealthBoardPage"));

export function App() {
  useLiveStream();
  return (
    <AppFrame>
      <Suspense fallback={<PageLoading />}>
        <Switch>
          <Route path="/" component={ShopPage} />
          <Route path="/shop" component={ShopPage} />
          <Route path="/shop/:sku">{({ sku }) => <ItemPage key={sku} sku={decodeURIComponent(sku)} />}</Route>
          <Route path="/cart" component={CartPage} />
          <Route path="/register" component={RegisterPage} />
          <Route path="/sign-in" component={SignInPage} />
          <Route path="/orders">
            <RequireSession>
              <MyOrdersPage />
            </RequireSession>
          </Route>
          <Route path="/account">
            <RequireSession>
              <AccountPage />
            </RequireSession>
          </Route>
          <Route path="/admin/*?">
            <RequireStaff>
              <AdminPages />
            </RequireStaff>
          </Route>
          <Route path="/health-board">
            <RequireStaff>
              <HealthBoardPage />
            </RequireStaff>
          </Route>
          <Route component={NotFound} />
        </Switch>
      </Suspense>
    </AppFrame>
  );
}
