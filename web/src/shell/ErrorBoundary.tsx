/** A page that breaks says so, and the frame around it stays usable. */
import { Button } from "@mantine/core";
import { IconBug } from "@tabler/icons-react";
import { Component, type ReactNode } from "react";
import { State } from "./states";

export class ErrorBoundary extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return (
      <State
        level={1}
        alert
        icon={<IconBug size={28} />}
        title="This page broke"
        action={<Button onClick={() => window.location.reload()}>Load it again</Button>}
      >
        That is our fault, not yours. Orders that were accepted are safe.
      </State>
    );
  }
}
