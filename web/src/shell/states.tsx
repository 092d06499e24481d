/** Loading, empty, failed, not found: as calm and as clear as the pages themselves. */
import { Button, Center, Loader, Stack, Text, ThemeIcon, Title } from "@mantine/core";
import {
  IconCloudOff,
  IconError404,
  IconLock,
  IconMoodEmpty,
  IconPlugConnectedX,
  IconTool,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { ApiError, explain, isNotThereYet, OfflineError } from "../api/problem";
import { useTitle } from "./hooks";

type StateProps = {
  icon: ReactNode;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  alert?: boolean;
  level?: 1 | 2;
};

export function State({ icon, title, children, action, alert, level = 2 }: StateProps) {
  return (
    <Center py={56} px="md">
      <Stack align="center" gap="xs" maw={440} ta="center" role={alert ? "alert" : undefined}>
        <ThemeIcon size={56} radius="xl" variant="light" color="gray" aria-hidden>
          {icon}
        </ThemeIcon>
        <Title order={level} size="h4" mt="xs">
          {title}
        </Title>
        {children && (
          <Text c="dimmed" size="sm" component="div">
            {children}
          </Text>
        )}
        {action && <div style={{ marginTop: 8 }}>{action}</div>}
      </Stack>
    </Center>
  );
}

export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <State icon={<IconMoodEmpty size={28} />} title={title} action={action}>
      {children}
    </State>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const again = retry && (
    <Button variant="default" onClick={() => retry()}>
      Try again
    </Button>
  );
  if (isNotThereYet(error)) {
    return (
      <State icon={<IconTool size={28} />} title="Not available on this server yet">
        The rest of the page works as usual.
      </State>
    );
  }
  if (error instanceof OfflineError) {
    return (
      <State icon={<IconCloudOff size={28} />} title="The server cannot be reached" action={again} alert>
        Check the connection. Nothing is lost; this page goes on as soon as there is an answer.
      </State>
    );
  }
  if (error instanceof ApiError && error.status === 404) {
    return (
      <State icon={<IconError404 size={28} />} title="Not found" alert>
        This does not exist, or not any more.
      </State>
    );
  }
  if (error instanceof ApiError && error.status === 403) {
    return (
      <State icon={<IconLock size={28} />} title="Not allowed" alert>
        Your account may not see this.
      </State>
    );
  }
  return (
    <State icon={<IconPlugConnectedX size={28} />} title="That did not work" action={again} alert>
      {explain(error)}
    </State>
  );
}

export function PageLoading() {
  return (
    <Center mih="60vh" aria-busy="true">
      <Loader type="dots" aria-label="Loading" role="status" />
    </Center>
  );
}

export function NotFound() {
  useTitle("Not found");
  return (
    <State
      level={1}
      icon={<IconError404 size={28} />}
      title="There is no such page"
      action={
        <Button component={Link} href="/shop">
          To the shop
        </Button>
      }
    >
      The address may be old, or mistyped.
    </State>
  );
}
