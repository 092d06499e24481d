/** A new customer: two fields, and straight into the shop. */
import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link, Redirect, useLocation } from "wouter";
import { ok, POST } from "../api/client";
import { ApiError, explain, fieldErrors } from "../api/problem";
import { useSession, useSignIn } from "../api/session";
import { useTitle } from "../shell/hooks";
import { tellDone } from "../shell/tell";
import { AccountCard } from "./AccountCard";
import { useNext } from "./next";

const USERNAME = /^[A-Za-z0-9._-]{1,64}$/;

export function usernameProblem(username: string): string | null {
  if (!username) return "Please choose a username.";
  return USERNAME.test(username) ? null : "Letters, digits, dot, underscore and hyphen only, at most 64.";
}

export function passwordProblem(password: string, username: string): string | null {
  if ([...password].length < 12) return "At least 12 characters, please: a few words make a good password.";
  if ([...password].length > 128) return "At most 128 characters.";
  if (password.toLowerCase() === username.toLowerCase()) return "Not the same as the username, please.";
  return null;
}

export default function RegisterPage() {
  useTitle("Register");
  const [, go] = useLocation();
  const { me } = useSession();
  const signIn = useSignIn();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const next = useNext();

  const register = useMutation({
    mutationFn: async () => {
      const body = { username: username.trim(), password };
      await ok(POST("/v1/accounts", { body }));
      await signIn.mutateAsync(body);
    },
    onSuccess: () => {
      go(next ?? "/shop", { replace: true });
      tellDone(`Welcome, ${username.trim()}`, "You are signed in.");
    },
  });
  if (me && register.isIdle) return <Redirect to={next ?? "/shop"} replace />;

  const fromServer = fieldErrors(register.error);
  const code = register.error instanceof ApiError ? register.error.code : "";
  const nameError =
    (tried && usernameProblem(username.trim())) ||
    (code === "username_taken" && explain(register.error)) ||
    fromServer.username;
  const passwordError =
    (tried && passwordProblem(password, username)) ||
    (code === "weak_password" && explain(register.error)) ||
    fromServer.password;
  const submit = () => {
    setTried(true);
    if (!usernameProblem(username.trim()) && !passwordProblem(password, username)) register.mutate();
  };

  return (
    <AccountCard title="Make an account" lead="To order, to keep units in your cart, and to see your orders.">
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Stack gap="md">
          {register.error && !nameError && !passwordError && (
            <Alert color="red" role="alert">
              {explain(register.error)}
            </Alert>
          )}
          <TextInput
            label="Username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            value={username}
            onChange={(event) => {
              setUsername(event.currentTarget.value);
              register.reset();
            }}
            error={nameError || undefined}
            size="md"
          />
          <PasswordInput
            label="Password"
            autoComplete="new-password"
            description="12 characters or more"
            value={password}
            onChange={(event) => {
              setPassword(event.currentTarget.value);
              register.reset();
            }}
            error={passwordError || undefined}
            size="md"
          />
          <Button type="submit" size="md" loading={register.isPending} fullWidth>
            Register
          </Button>
        </Stack>
      </form>
      <Text size="sm" c="dimmed" ta="center" mt="lg">
        Have an account?{" "}
        <Anchor
          component={Link}
          href={`/sign-in${next ? `?next=${encodeURIComponent(next)}` : ""}`}
          underline="always"
        >
          Use it
        </Anchor>
      </Text>
    </AccountCard>
  );
}
