/** Sign in, and back to where you were. */
import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { Link, Redirect, useLocation, useSearchParams } from "wouter";
import { ApiError, explain } from "../api/problem";
import { isStaff, useSession, useSignIn } from "../api/session";
import { useTitle } from "../shell/hooks";
import { AccountCard } from "./AccountCard";
import { safeNext } from "./next";

const WHY: Record<string, string> = {
  buy: "Sign in to buy. You come back to the item right after.",
  ended: "Your session has ended. Sign in again to continue where you were.",
};

export default function SignInPage() {
  useTitle("Sign in");
  const [params] = useSearchParams();
  const [, go] = useLocation();
  const { me } = useSession();
  const signIn = useSignIn();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const next = safeNext(params.get("next"));
  const why = WHY[params.get("why") ?? ""];

  if (me && !signIn.isPending && !signIn.isSuccess) return <Redirect to={next ?? "/shop"} replace />;

  const submit = () =>
    signIn.mutate(
      { username: username.trim(), password },
      { onSuccess: ({ account }) => go(next ?? (isStaff(account) ? "/admin" : "/shop"), { replace: true }) },
    );
  const wrong = signIn.error instanceof ApiError && signIn.error.status === 401;

  return (
    <AccountCard title="Welcome back" lead={why ?? "Sign in to order and to see your orders."}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (username && password) submit();
        }}
      >
        <Stack gap="md">
          {signIn.error && (
            <Alert color="red" role="alert" title={wrong ? "Not signed in" : undefined}>
              {explain(signIn.error)}
            </Alert>
          )}
          <TextInput
            label="Username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            value={username}
            onChange={(event) => setUsername(event.currentTarget.value)}
            size="md"
          />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            size="md"
          />
          <Button type="submit" size="md" loading={signIn.isPending} fullWidth>
            Sign in
          </Button>
        </Stack>
      </form>
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
