import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { answers, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

/** Options of {@link startMosquitto}. */
export interface MosquittoOptions {
  /** Keeps sessions and their messages across restarts, a crash too. Default false. */
  persistent?: boolean;
}

/** Starts a Mosquitto MQTT broker that takes anybody. */
export function startMosquitto({ persistent = false }: MosquittoOptions = {}): Promise<TestServer> {
  return startServer({
    url: (port) => `mqtt://127.0.0.1:${port}`,
    async prepare(folder) {
      await writeFile(join(folder, "password"), "");
    },
    command: (port, folder) => {
      const file = join(folder, "mosquitto.conf");
      return {
        program: "sh",
        args: [
          "-c",
          configureAndRun,
          "sh",
          locate("mosquitto"),
          file,
          String(port),
          persistent ? `${persistence}${folder}/\n` : "",
        ],
      };
    },
    isReady: (port) => answers(port, "", ""),
  });
}

/** The port is known only when the command is made, and Mosquitto takes its settings from a file only. */
const configureAndRun =
  'printf "listener %s 127.0.0.1\\nallow_anonymous true\\nmax_queued_messages 0\\n%b" "$3" "$4" > "$2"; [ "$(id -u)" = 0 ] && echo "user root" >> "$2"; exec "$1" -c "$2"';

/** Everything is written at once: what a crash would lose otherwise is Mosquitto's, not what a test looks for. */
const persistence = "persistence true\\nautosave_on_changes true\\nautosave_interval 1\\npersistence_location ";
