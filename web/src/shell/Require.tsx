/** Pages for some only. The server decides by itself on every call; this only saves a visitor from an empty page. */
import { Button } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link, Redirect } from "wouter";
import { isStaff, useSession } from "../api/session";
import { useHere, useTitle } from "./hooks";
import { Failed, PageLoading, State } from "./states";

export function signInHref(next: string, why?: "buy"): string {
  const query = new URLSearchParams({ next });
  if (why) query.set("why", why);
  return `/sign-in?${query}`;
}

export function RequireSession({ children }: { children: ReactNode }) {
  const { me, isLoading, error, retry } = useSession();
  const here = useHere();
  if (isLoading) return <PageLoading />;
  if (me === undefined) return <Failed error={error} retry={retry} />;
  if (me === null) return <Redirect to={signInHref(here)} replace />;
  return children;
}

export function RequireStaff({ children }: { children: ReactNode }) {
  return (
    <RequireSession>
      <StaffOnly>{children}</StaffOnly>
    </RequireSession>
  );
}

function StaffOnly({ children }: { children: ReactNode }) {
  const { me } = useSession();
  if (isStaff(me)) return children;
  return <NotForYou />;
}

export function NotForYou() {
  useTitle("Not allowed");
  return (
    <State
      level={1}
      alert
      icon={<IconLock size={28} />}
      title="Not allowed"
      action={
        <Button component={Link} href="/shop">
          Back to the shop
        </Button>
      }
    >
      This part of the shop is for its staff. Your account is a customer's.
    </State>
  );
}
