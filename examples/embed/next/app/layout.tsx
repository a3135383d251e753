import Script from "next/script";
import type { ReactNode } from "react";

import "./style.css";

export const metadata = { title: "Chat in Next.js" };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        {children}
        <Script src="/element.js" strategy="afterInteractive" />
      </body>
    </html>
  );
}
