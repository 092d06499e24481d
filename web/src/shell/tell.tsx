/** What happened, said once, at the edge of the screen and to screen readers. */
import { notifications } from "@mantine/notifications";
import { IconAlertTriangle, IconCheck, IconInfoCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { explain } from "../api/problem";

export function tellDone(title: string, message?: ReactNode) {
  notifications.show({
    title,
    message: message ?? "",
    color: "tide",
    icon: <IconCheck size={18} />,
    role: "status",
  });
}

export function tellInfo(title: string, message?: ReactNode) {
  notifications.show({
    title,
    message: message ?? "",
    color: "gray",
    icon: <IconInfoCircle size={18} />,
    role: "status",
  });
}

export function tellError(title: string, error: unknown) {
  notifications.show({
    title,
    message: explain(error),
    color: "red",
    icon: <IconAlertTriangle size={18} />,
    autoClose: 10_000,
    role: "alert",
  });
}
