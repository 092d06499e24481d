/** Side bar on wide screens, a strip of tabs on a phone. */
import {
  IconActivityHeartbeat,
  IconBoxSeam,
  IconDeviceWatch,
  IconFileImport,
  IconKey,
  IconLayoutDashboard,
  IconMapPin,
  IconReceipt,
  IconUsers,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { useIsLive } from "../api/live";
import { useSession } from "../api/session";
import classes from "./AdminShell.module.css";

const PAGES = [
  { href: "/admin", label: "Overview", icon: IconLayoutDashboard, admin: false },
  { href: "/admin/items", label: "Items", icon: IconDeviceWatch, admin: false },
  { href: "/admin/stock", label: "Stock", icon: IconBoxSeam, admin: false },
  { href: "/admin/locations", label: "Locations", icon: IconMapPin, admin: false },
  { href: "/admin/orders", label: "Orders", icon: IconReceipt, admin: false },
  { href: "/admin/import", label: "Import", icon: IconFileImport, admin: false },
  { href: "/admin/accounts", label: "Accounts", icon: IconUsers, admin: true },
  { href: "/admin/api-keys", label: "API keys", icon: IconKey, admin: true },
  { href: "/health-board", label: "Health board", icon: IconActivityHeartbeat, admin: false },
];

export function AdminShell({ children }: { children: ReactNode }) {
  const [location] = useLocation();
  const { me } = useSession();
  const live = useIsLive();
  return (
    <div className={classes.shell}>
      <nav className={classes.side} aria-label="Admin">
        {PAGES.filter((page) => !page.admin || me?.role === "admin").map(({ href, label, icon: Icon }) => {
          const here = location === href || (href !== "/admin" && location.startsWith(`${href}/`));
          return (
            <Link key={href} href={href} className={classes.link} aria-current={here ? "page" : undefined}>
              <Icon size={18} aria-hidden />
              {label}
            </Link>
          );
        })}
        <span className={classes.live} data-live={live || undefined}>
          {live ? "Live" : "Asking every few seconds"}
        </span>
      </nav>
      <div className={classes.content}>{children}</div>
    </div>
  );
}

/** Title row of an admin page. */
export function PageHead({
  title,
  children,
  lead,
}: {
  title: ReactNode;
  lead?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <div className={classes.head}>
      <div>
        <h1 className={classes.title}>{title}</h1>
        {lead && <p className={classes.lead}>{lead}</p>}
      </div>
      <div className={classes.actions}>{children}</div>
    </div>
  );
}
