/** A page with only the open element, under a policy without `unsafe-inline` and with Trusted Types enforced. */
import assert from "node:assert/strict";

import { recordFailure, visitor } from "./visit.js";

const POLICY = [
  "default-src 'none'",
  "connect-src 'self'",
  "script-src 'self' 'nonce-page'",
  "style-src 'nonce-page'",
  "img-src 'self' data: https:",
  "require-trusted-types-for 'script'",
  "trusted-types lit-html",
].join("; ");

/**
 * Opens the page on a server's `origin` and waits until the element is ready. `options` is JavaScript source of an
 * options object. What breaks the policy is an exception of the page, and fails the test.
 */
export async function openStrictPage(t, { browser, server }, origin, { options = "{}", query = "", ...contextOptions } = {}) {
  const visit = await visitor(browser, "open", contextOptions);
  const { context, page, exceptions } = visit;
  t.after(async () => {
    const violations = await page.evaluate(() => window.violations).catch(() => []);
    if (!t.passed || exceptions.length || violations.length) await recordFailure(t, visit, server);
    await context.close();
    assert.deepEqual([...exceptions, ...violations], [], "exceptions and breaches of the policy");
  });
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Strict</title>
    <style nonce="page">html, body { height: 100%; margin: 0 } openai-chatkit { display: block; height: 100% }</style>
    <main><openai-chatkit></openai-chatkit></main>
    <script nonce="page">window.violations = []; addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective + " " + event.blockedURI + " " + event.sample))</script>
    <script src="/element.js"></script>
    <script nonce="page">
      const initialThread = new URL(location.href).searchParams.get("thread");
      document.querySelector("openai-chatkit").setOptions({ api: { url: "/chatkit", domainKey: "x" }, history: { enabled: false }, initialThread, ...(${options}) });
    </script></html>`;
  await context.route("**/strict.html*", (route) => route.fulfill({ body, contentType: "text/html", headers: { "content-security-policy": POLICY } }));
  await page.goto(`${origin}/strict.html${query}`);
  await page.waitForFunction(() => window.chatEvents.some(({ name }) => name === "ready"));
  return visit;
}

/** Adds functions to the page that render markdown with the component alone, `whole` or in parts as an answer arrives. */
export async function prepareMarkdown(page) {
  await page.evaluate(() => {
    const root = document.querySelector("openai-chatkit").shadowRoot;
    const box = root.appendChild(document.createElement("div"));
    box.id = "box";
    const make = (properties) => {
      const markdown = Object.assign(document.createElement("ck-markdown"), { annotations: [], ...properties });
      box.replaceChildren(markdown);
      return markdown;
    };
    // A long text is rendered in several tasks.
    const complete = async (markdown) => {
      for (;;) {
        await markdown.updateComplete;
        if (!markdown.timer) break;
        await new Promise((resolve) => setTimeout(resolve));
      }
    };
    /** Colours and Lit's markers are not part of the content. */
    const html = (markdown) => {
      const copy = markdown.cloneNode(true);
      for (const part of copy.querySelectorAll(".code code span span")) part.replaceWith(...part.childNodes);
      copy.normalize();
      const walker = document.createTreeWalker(copy, NodeFilter.SHOW_COMMENT);
      const comments = [];
      while (walker.nextNode()) comments.push(walker.currentNode);
      for (const comment of comments) comment.remove();
      return new XMLSerializer().serializeToString(copy);
    };
    window.markdown = {
      async whole(text, properties = {}) {
        const markdown = make({ ...properties, text, isOpen: false });
        await complete(markdown);
        return html(markdown);
      },
      /** `see` is called with the component after each part. */
      async stream(text, sizes, { see, ...properties } = {}) {
        const markdown = make({ ...properties, text: "", isOpen: true });
        for (let end = 0, part = 0; end < text.length; part++) {
          end = Math.min(text.length, end + sizes[part % sizes.length]);
          markdown.text = text.slice(0, end);
          await complete(markdown);
          see?.(markdown, end);
        }
        markdown.isOpen = false;
        await complete(markdown);
        return html(markdown);
      },
      make,
      complete,
      html,
      get shown() {
        return box.firstElementChild;
      },
    };
  });
}
