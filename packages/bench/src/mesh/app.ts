// An app that echoes, in a process of its own: prints its port, ends with its stdin.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  const length = request.headers["content-length"];
  response.writeHead(200, { "content-type": "application/octet-stream", ...(length && { "content-length": length }) });
  request.pipe(response);
});
server.keepAliveTimeout = 65_000;
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
process.stdin.on("end", () => process.exit()).resume();
