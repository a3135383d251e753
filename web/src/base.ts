/** URLs of our server, relative to the page: it may be served below a prefix. */
export const serverUrl = (path: string): string => new URL(path, document.baseURI).pathname;
