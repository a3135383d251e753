/** An endpoint for transcription, which hears the same words in everything. */
import { once } from "node:events";
import { createServer } from "node:http";

export const SPOKEN = "What time is it in Paris";
/** The bytes of each recording that it got. */
export const heard = [];

/** Returns the listening server, which does not keep the process alive. */
export async function startTranscription() {
  const server = createServer(async (request, response) => {
    heard.push(Buffer.concat(await request.toArray()).length);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ text: SPOKEN }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server.unref();
}
