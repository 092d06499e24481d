/** The frame of the sign-in and registration pages. */
import { Card, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

export function AccountCard({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <div style={{ maxWidth: 420, margin: "0 auto", padding: "min(8vh, 72px) 16px 64px" }}>
      <Card p={32} shadow="sm">
        <Title order={1} size="h2" lts="-0.02em">
          {title}
        </Title>
        <Text c="dimmed" size="sm" mt={6} mb="lg">
          {lead}
        </Text>
        {children}
      </Card>
    </div>
  );
}
