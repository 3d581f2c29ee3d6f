// What customers see. It knows that there is a catalogue, not where it is, nor how often it must be asked.
import { createMeshClient } from "@mecha/invoke";
import { isbnOf, passOn, serveUntilStopped } from "./http.ts";

await using mesh = createMeshClient();

await serveUntilStopped(async ({ method, path, headers }) => {
  const isbn = isbnOf(path, "books");
  if (method !== "GET" || isbn === undefined) return { status: 404 };
  const book = await mesh.fetch("catalogue", `/books/${isbn}`, { headers: passOn(headers) });
  return book.ok
    ? { status: 200, body: await book.json() }
    : { status: 502, body: { error: `the catalogue says ${book.status}: ${await book.text()}` } };
});
