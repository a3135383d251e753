// How the page is built into dist/, which the server serves at `/`; `npm run dev` proxies the API to a running server.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.CHATKIT_DEV_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", sourcemap: false },
  server: {
    host: "127.0.0.1",
    proxy: { "/chatkit": server, "/api": { target: server, ws: true } },
  },
});
