import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

export default defineConfig({
  // Otherwise Vue warns that it does not know a component of that name.
  plugins: [vue({ template: { compilerOptions: { isCustomElement: (tag) => tag === "openai-chatkit" } } })],
});
