/** Where am I, who am I, what is in my cart. */
import { ActionIcon, Tooltip, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import {
  IconBuildingStore,
  IconLayoutDashboard,
  IconLogin2,
  IconLogout2,
  IconMoon,
  IconReceipt,
  IconShoppingBag,
  IconSun,
  IconUser,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { isStaff, useSession, useSignOut } from "../api/session";
import { useCart, useHoldClock } from "../cart/use-cart";
import { formatCountdown } from "../format";
import classes from "./Header.module.css";
import { useHere } from "./hooks";
import { tellDone, tellError } from "./tell";

export function Header() {
  const { me, isLoading } = useSession();
  return (
    <header className={classes.header}>
      <div className={classes.inner}>
        <Link href="/shop" className={classes.brand} aria-label="Holdfast home">
          <Mark />
          <span className={classes.word}>Holdfast</span>
        </Link>
        <nav className={classes.nav} aria-label="Main">
          <NavLink href="/shop" icon={<IconBuildingStore size={19} />} label="Shop" also="/" />
          <NavLink href="/orders" icon={<IconReceipt size={19} />} label="My orders" />
          {isStaff(me) && (
            <NavLink href="/admin" icon={<IconLayoutDashboard size={19} />} label="Admin" deep />
          )}
        </nav>
        <div className={classes.right}>
          <CartLink />
          <SchemeToggle />
          {me ? <SignedIn name={me.username} /> : <SignedOut hidden={isLoading} />}
        </div>
      </div>
    </header>
  );
}

function Mark() {
  return (
    <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="var(--mantine-primary-color-filled)" />
      <path
        d="M10 8v16M22 8v16M10 16h12"
        stroke="var(--mantine-primary-color-contrast)"
        strokeWidth="3.2"
        strokeLinecap="round"
        fill="none"
      />
      <circle cx="16" cy="16" r="3.3" fill="var(--mantine-primary-color-contrast)" />
    </svg>
  );
}

type NavLinkProps = { href: string; icon: ReactNode; label: string; also?: string; deep?: boolean };

function NavLink({ href, icon, label, also, deep }: NavLinkProps) {
  const [location] = useLocation();
  const here = location === href || location === also || (deep && location.startsWith(`${href}/`));
  return (
    <Link href={href} className={classes.link} aria-current={here ? "page" : undefined}>
      {icon}
      <span className={classes.label}>{label}</span>
    </Link>
  );
}

function CartLink() {
  const { units } = useCart();
  const clock = useHoldClock();
  return (
    <Link href="/cart" className={classes.link}>
      <span className={classes.bag}>
        <IconShoppingBag size={19} />
        {units > 0 && (
          <span className={classes.count} aria-hidden>
            {units > 99 ? "99+" : units}
          </span>
        )}
      </span>
      <span className={classes.label}>Cart</span>
      {units > 0 && <span className="sr-only">, {units} units</span>}
      {clock && clock.leftMs > 0 && (
        <span className={classes.clock} aria-hidden>
          {formatCountdown(clock.leftMs)}
        </span>
      )}
    </Link>
  );
}

function SchemeToggle() {
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const other = scheme === "dark" ? "light" : "dark";
  return (
    <Tooltip label={`Use ${other} colours`}>
      <ActionIcon
        color="gray"
        size={38}
        aria-label={`Use ${other} colours`}
        onClick={() => setColorScheme(other)}
      >
        {scheme === "dark" ? <IconSun size={19} /> : <IconMoon size={19} />}
      </ActionIcon>
    </Tooltip>
  );
}

function SignedIn({ name }: { name: string }) {
  const signOut = useSignOut();
  const [, go] = useLocation();
  const leave = () =>
    signOut.mutate(undefined, {
      onSuccess: () => {
        go("/shop");
        tellDone("Signed out");
      },
      onError: (error) => tellError("Not signed out", error),
    });
  return (
    <>
      <Link href="/account" className={classes.link} aria-label={`Account ${name}`}>
        <IconUser size={19} />
        <span className={classes.name}>{name}</span>
      </Link>
      <button type="button" className={classes.link} onClick={leave} disabled={signOut.isPending}>
        <IconLogout2 size={19} aria-hidden />
        <span className={classes.label}>Sign out</span>
      </button>
    </>
  );
}

function SignedOut({ hidden }: { hidden: boolean }) {
  const [location] = useLocation();
  const here = useHere();
  const next = ["/sign-in", "/register"].includes(location) ? "" : `?next=${encodeURIComponent(here)}`;
  // The room is kept while it is not known who is there, so that nothing jumps.
  return (
    <div className={classes.right} style={hidden ? { visibility: "hidden" } : undefined}>
      <Link href={`/register${next}`} className={`${classes.link} ${classes.wide}`}>
        Register
      </Link>
      <Link href={`/sign-in${next}`} className={`${classes.link} ${classes.signIn}`}>
        <IconLogin2 size={19} aria-hidden className={classes.narrowIcon} />
        <span>Sign in</span>
      </Link>
    </div>
  );
}
