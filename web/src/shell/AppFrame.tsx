/** Header, banners and the place for the page. */
import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconCloudOff, IconLock } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef } from "react";
import { Link, useLocation } from "wouter";
import { OfflineError } from "../api/problem";
import { queryClient } from "../api/query";
import { becomeAccount, useSession } from "../api/session";
import { onSessionEnd } from "../api/session-end";
import type { Account } from "../api/types";
import classes from "./AppFrame.module.css";
import { ErrorBoundary } from "./ErrorBoundary";
import { Header } from "./Header";
import { useOnline } from "./hooks";
import { signInHref } from "./Require";

export function AppFrame({ children }: { children: ReactNode }) {
  const [location] = useLocation();
  const main = useRef<HTMLElement>(null);
  const shown = useRef(location);
  useSessionEnd();

  useEffect(() => {
    if (shown.current === location) return;
    shown.current = location;
    window.scrollTo(0, 0);
    // A new page is announced and the keyboard starts at its top.
    main.current?.focus({ preventScroll: true });
  }, [location]);

  return (
    <>
      <a className={classes.skip} href="#main">
        Skip to content
      </a>
      <Header />
      <OfflineBanner />
      <main id="main" ref={main} tabIndex={-1} className={classes.main}>
        <ErrorBoundary key={location.split("/")[1]}>{children}</ErrorBoundary>
      </main>
    </>
  );
}

function OfflineBanner() {
  const online = useOnline();
  const { error } = useSession();
  const lost = error instanceof OfflineError;
  if (online && !lost) return null;
  return (
    <div className={classes.banner} role="status">
      <IconCloudOff size={18} aria-hidden />
      {online ? "The server cannot be reached." : "You are offline."} What you see may be old; it catches up
      by itself.
    </div>
  );
}

/** When the server no longer knows the session: say so once, and offer the way back. */
function useSessionEnd() {
  const [location] = useLocation();
  const here = useRef(location);
  here.current = location;
  useEffect(
    () =>
      onSessionEnd(() => {
        const me = queryClient.getQueryData<Account | null>(["me"]);
        if (!me) return;
        becomeAccount(null);
        notifications.show({
          id: "session-ended",
          title: "Your session has ended",
          color: "gray",
          icon: <IconLock size={18} />,
          autoClose: false,
          message: (
            <Button
              component={Link}
              href={signInHref(here.current, "ended")}
              size="xs"
              mt={6}
              onClick={() => notifications.hide("session-ended")}
            >
              Continue with a new one
            </Button>
          ),
        });
      }),
    [],
  );
}
