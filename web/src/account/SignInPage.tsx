/** Sign in, and back to where you were. */
import { Anchor, Text } from "@mantine/core";
import { Link, Redirect, useLocation, useSearchParams } from "wouter";
import { isStaff, useSession, useSignIn } from "../api/session";
import { useTitle } from "../shell/hooks";
import { AccountCard } from "./AccountCard";
import { useNext } from "./next";
import { SignInForm } from "./SignInForm";

const WHY: Record<string, string> = {
  buy: "Sign in to buy. You come back to the item right after.",
};

export default function SignInPage() {
  useTitle("Sign in");
  const [params] = useSearchParams();
  const [, go] = useLocation();
  const { me } = useSession();
  const signIn = useSignIn();
  const next = useNext();
  const why = WHY[params.get("why") ?? ""];

  if (me && !signIn.isPending && !signIn.isSuccess) return <Redirect to={next ?? "/shop"} replace />;

  return (
    <AccountCard title="Welcome back" lead={why ?? "Sign in to order and to see your orders."}>
      <SignInForm
        signIn={signIn}
        onDone={(account) => go(next ?? (isStaff(account) ? "/admin" : "/shop"), { replace: true })}
      />
      <Text size="sm" c="dimmed" ta="center" mt="lg">
        New here?{" "}
        <Anchor
          component={Link}
          href={`/register${next ? `?next=${encodeURIComponent(next)}` : ""}`}
          underline="always"
        >
          Make an account
        </Anchor>
      </Text>
    </AccountCard>
  );
}
