// Serves an authority and prints where. Arguments: its folder; a text, and with the first line of its log that has it the process kills itself.
import { systemClock } from "@mecha/component";
import { serveAuthority } from "@mecha/identity";

const [folder = "", dieAt = ""] = process.argv.slice(2);
const write = (_fields: object, message: string) => {
  if (dieAt !== "" && message.includes(dieAt)) process.kill(process.pid, "SIGKILL");
};
const logger = { info: write, warn: write, error: write };
const server = await serveAuthority({ folder, port: 0, clock: systemClock, logger });
console.log(server.endpoint);
