/** Colours, type and the small habits of every component. */
import {
  ActionIcon,
  Badge,
  Button,
  Card,
  createTheme,
  Modal,
  NumberInput,
  Paper,
  PasswordInput,
  Tooltip,
} from "@mantine/core";

export const theme = createTheme({
  fontFamily: "'Inter Variable', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SF Mono', 'Cascadia Code', 'DejaVu Sans Mono', monospace",
  headings: { fontWeight: "650" },
  primaryColor: "tide",
  // Both carry white text with a contrast of 4.8 and more.
  primaryShade: { light: 7, dark: 6 },
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  colors: {
    tide: [
      "#edfaf7",
      "#d3f2ea",
      "#a8e5d7",
      "#73d2bf",
      "#42baa5",
      "#259d8a",
      "#178073",
      "#13685f",
      "#11534d",
      "#0b3a36",
    ],
    dark: [
      "#d6d9de",
      "#b4b9c1",
      "#9aa1ac",
      "#6b7280",
      "#3a404a",
      "#2b3038",
      "#1e2228",
      "#15181d",
      "#101216",
      "#0b0d10",
    ],
  },
  components: {
    Button: Button.extend({ defaultProps: { size: "sm" } }),
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: "subtle" } }),
    Badge: Badge.extend({
      defaultProps: { variant: "light", radius: "sm" },
      styles: { label: { textTransform: "none", fontWeight: 600 } },
    }),
    Card: Card.extend({ defaultProps: { radius: "lg", withBorder: true } }),
    Paper: Paper.extend({ defaultProps: { radius: "lg" } }),
    Modal: Modal.extend({
      defaultProps: {
        centered: true,
        radius: "lg",
        overlayProps: { backgroundOpacity: 0.45, blur: 2 },
        closeButtonProps: { "aria-label": "Close" },
      },
      styles: { title: { fontWeight: 650, fontSize: "var(--mantine-font-size-lg)" } },
    }),
    NumberInput: NumberInput.extend({ defaultProps: { allowDecimal: false, clampBehavior: "strict" } }),
    // The label must not contain the word "Password": the field alone answers to it.
    PasswordInput: PasswordInput.extend({
      defaultProps: { visibilityToggleButtonProps: { "aria-label": "Show what is typed" } },
    }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 300, withArrow: true } }),
  },
});
