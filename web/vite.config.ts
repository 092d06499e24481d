import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The server embeds `dist` and serves it under a strict Content-Security-Policy: nothing inline, no other origin.
const server = process.env.HOLDFAST_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    target: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: Object.fromEntries(
      ["/v1", "/health/", "/openapi.json", "/docs", "/images", "/media"].map((p) => [p, server]),
    ),
  },
});
