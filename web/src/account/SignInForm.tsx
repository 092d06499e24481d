/** Username and password: on the sign-in page, and over the page of whoever's session has ended. */
import { Alert, Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { ApiError, explain } from "../api/problem";
import type { useSignIn } from "../api/session";
import type { Account } from "../api/types";

type Props = {
  signIn: ReturnType<typeof useSignIn>;
  /** Who is expected. */
  username?: string;
  onDone?: (account: Account) => void;
};

export function SignInForm({ signIn, username: expected = "", onDone }: Props) {
  const [username, setUsername] = useState(expected);
  const [password, setPassword] = useState("");
  const wrong = signIn.error instanceof ApiError && signIn.error.status === 401;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!username || !password) return;
        signIn.mutate(
          { username: username.trim(), password },
          { onSuccess: ({ account }) => onDone?.(account) },
        );
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
          data-autofocus={expected !== "" || undefined}
        />
        <Button type="submit" size="md" loading={signIn.isPending} fullWidth>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}
