// `npm run build` writes dist/, which the server serves at `/` and which goes into the wheel. `npm run watch` writes
// dist-dev/: its page reloads itself, so it must never be shipped. `npm run dev` proxies the API to a running server.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.CHATKIT_DEV_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig(({ mode }) => ({
  plugins: [react()],
  build: { outDir: mode === "watch" ? "dist-dev" : "dist", target: "es2022", sourcemap: false },
  server: {
    host: "127.0.0.1",
    proxy: { "/chatkit": server, "/api": { target: server, ws: true } },
  },
}));
