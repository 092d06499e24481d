/** Header, banners and the place for the page. */
import { IconCloudOff } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef } from "react";
import { useLocation } from "wouter";
import { OfflineError } from "../api/problem";
import { useSession } from "../api/session";
import classes from "./AppFrame.module.css";
import { ErrorBoundary } from "./ErrorBoundary";
import { Header } from "./Header";
import { useOnline } from "./hooks";
import { SessionEnded } from "./SessionEnded";

export function AppFrame({ children }: { children: ReactNode }) {
  const [location] = useLocation();
  const main = useRef<HTMLElement>(null);
  const shown = useRef(location);

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
      <SessionEnded />
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
