import type { NextConfig } from "next";

const CHAT = process.env.CHAT_SERVER ?? "http://localhost:8000";

/** The chat server appears below this site, so that its cookie needs neither CORS nor `credentials`. */
const config: NextConfig = {
  compress: false, // Next would hold back a stream to compress it
  rewrites: async () => ["chatkit", "api/:path*", "element.js", "element/:path*"].map((path) => ({ source: `/${path}`, destination: `${CHAT}/${path}` })),
};

export default config;
