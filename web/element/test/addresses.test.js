/** Which addresses of a model become links and images. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { built } from "./built.js";

globalThis.document ??= { baseURI: "https://page.example/chat/" };
globalThis.location ??= new URL("https://page.example/chat/");
const { imageSource, linkTarget } = await built("addresses.ts");

test("links lead to the web, to mail and to a phone", () => {
  for (const href of ["https://a.example/x", "http://a.example/", "mailto:a@b.example", "tel:+491234"]) assert.equal(linkTarget(href), href);
  for (const href of ["javascript:alert(1)", " java\nscript:alert(1)", "data:text/html,x", "blob:https://a/1", "file:///etc/passwd", "vbscript:x", "", " ", null, 5, {}, "https://"]) assert.equal(linkTarget(href), null, String(href));
});

test("images come from the web or from data of an image", () => {
  for (const src of ["https://a.example/x.png", "data:image/png;base64,AAAA", "data:image/svg+xml;utf8,<svg/>", "blob:https://page.example/1"]) assert.equal(imageSource(src), src);
  for (const src of ["javascript:alert(1)", "data:text/html,x", "data:image/png", "file:///x.png", "mailto:a@b.example", undefined, []]) assert.equal(imageSource(src), null, String(src));
  assert.equal(imageSource("/api/files/1"), "https://page.example/api/files/1");
});

test("a thread may limit the domains of images", () => {
  const allowed = ["images.example", "*.cdn.example", null];
  for (const src of ["https://images.example/1", "https://a.images.example/1", "https://x.cdn.example/1", "https://page.example/1", "data:image/png;base64,AA"]) assert.equal(imageSource(src, allowed), src);
  for (const src of ["https://evil.example/1", "https://evilimages.example/1", "https://images.example.evil.example/1"]) assert.equal(imageSource(src, allowed), null, src);
  assert.equal(imageSource("https://images.example/1", []), null);
});
