import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { answers, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

/** Starts a Mosquitto MQTT broker that takes anybody. */
export function startMosquitto(): Promise<TestServer> {
  return startServer({
    url: (port) => `mqtt://127.0.0.1:${port}`,
    async prepare(folder) {
      await writeFile(join(folder, "password"), "");
    },
    command: (port, folder) => {
      const file = join(folder, "mosquitto.conf");
      return { program: "sh", args: ["-c", configureAndRun, "sh", locate("mosquitto"), file, String(port)] };
    },
    isReady: (port) => answers(port, "", ""),
  });
}

/** The port is known only when the command is made, and Mosquitto takes its settings from a file only. */
const configureAndRun =
  'printf "listener %s 127.0.0.1\\nallow_anonymous true\\npersistence false\\n" "$3" > "$2"; [ "$(id -u)" = 0 ] && echo "user root" >> "$2"; exec "$1" -c "$2"';
