/** The own account: who am I, and a new password. */
import { Alert, Badge, Button, Card, Group, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { ok, PUT } from "../api/client";
import { explain } from "../api/problem";
import { useSession } from "../api/session";
import { useTitle } from "../shell/hooks";
import { tellDone } from "../shell/tell";
import { passwordProblem } from "./RegisterPage";

export default function AccountPage() {
  useTitle("Account");
  const { me } = useSession();
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [tried, setTried] = useState(false);
  const change = useMutation({
    mutationFn: () =>
      ok(PUT("/v1/me/password", { body: { current_password: current, new_password: fresh } })),
    onSuccess: () => {
      setCurrent("");
      setFresh("");
      setTried(false);
      tellDone("Password changed", "Your other sessions have ended.");
    },
  });
  if (!me) return null;
  const weak = passwordProblem(fresh, me.username);
  return (
    <Stack maw={520} mx="auto" p="lg" gap="lg">
      <Group justify="space-between">
        <Title order={1} size="h2">
          {me.username}
        </Title>
        <Badge size="lg">{me.role}</Badge>
      </Group>
      <Card p="lg">
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            setTried(true);
            if (!weak && current) change.mutate();
          }}
        >
          <Stack>
            <Title order={2} size="h4">
              Change the password
            </Title>
            <Text size="sm" c="dimmed">
              Your other sessions end with it.
            </Text>
            {change.error && (
              <Alert color="red" role="alert">
                {explain(change.error)}
              </Alert>
            )}
            <PasswordInput
              label="Current password"
              autoComplete="current-password"
              value={current}
              onChange={(event) => setCurrent(event.currentTarget.value)}
              error={tried && !current ? "Please enter it." : undefined}
            />
            <PasswordInput
              label="New password"
              autoComplete="new-password"
              description="12 characters or more"
              value={fresh}
              onChange={(event) => setFresh(event.currentTarget.value)}
              error={tried && weak ? weak : undefined}
            />
            <Group justify="flex-end">
              <Button type="submit" loading={change.isPending}>
                Change
              </Button>
            </Group>
          </Stack>
        </form>
      </Card>
    </Stack>
  );
}
