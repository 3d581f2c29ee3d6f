import { accessSync, appendFileSync, constants, existsSync, mkdirSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The repository's root: what stands in `.cache/` was put there for tests. */
const root = join(import.meta.dirname, "../../..");

/** Where `go install` puts programs. */
const goFolders = [join(process.env.HOME ?? "/", "go/bin")];

/** What a suite may need that npm does not bring: the program to look for, where else it may be, and how to get it. */
const tools = {
  redis: { program: "redis-server", install: "apt-get install redis-server" },
  postgres: { program: "postgres", folders: postgresFolders(), install: "apt-get install postgresql" },
  nats: { program: "nats-server", install: "apt-get install nats-server" },
  rabbitmq: {
    program: "rabbitmq-server",
    folders: ["/usr/lib/rabbitmq/bin"],
    install: "apt-get install rabbitmq-server",
  },
  mosquitto: { program: "mosquitto", folders: ["/usr/sbin"], install: "apt-get install mosquitto" },
  chromium: { program: "chromium", install: "apt-get install chromium" },
  go: { program: "go", folders: ["/usr/local/go/bin"], install: "install Go 1.24 or later (https://go.dev/dl)" },
  python: { program: "python3", install: "apt-get install python3 python3-venv" },
  "python-grpc": {
    program: "python-grpc-tools-protoc",
    folders: [join(root, ".cache/python/bin")],
    install:
      "python3 -m venv .cache/python && .cache/python/bin/pip install -r examples/polyglot/python/requirements.txt",
  },
  "protoc-gen-go": {
    program: "protoc-gen-go",
    folders: goFolders,
    install: "go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10",
  },
  "protoc-gen-go-grpc": {
    program: "protoc-gen-go-grpc",
    folders: goFolders,
    install: "go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0",
  },
  curl: { program: "curl", install: "apt-get install curl" },
  script: { program: "script", install: "apt-get install bsdutils" },
  connectconformance: {
    program: "connectconformance",
    folders: goFolders,
    install: "go install connectrpc.com/conformance/cmd/connectconformance@v1.0.5",
  },
} satisfies Record<string, { program: string; folders?: string[]; install: string }>;

/** The name of something that a suite may need. */
export type Tool = keyof typeof tools;

/** Debian keeps a folder per major version off the PATH; the newest comes first. */
function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql";
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, "bin"));
}

/** The path of a tool's program, or undefined if it is not installed. */
export function find(tool: Tool): string | undefined {
  const { program, ...rest } = tools[tool];
  const folders = [...("folders" in rest ? rest.folders : []), ...(process.env.PATH ?? "").split(delimiter)];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of a tool's program; throws with how to install it if it is missing. */
export function locate(tool: Tool): string {
  const path = find(tool);
  if (path === undefined) throw new Error(`${tools[tool].program} is not installed: ${tools[tool].install}`);
  return path;
}

/**
 * Whether a suite must be skipped because something it needs is not installed: `describe.skipIf(missing("redis"))`. The skip is listed at the
 * end of `pnpm test` with how to have it run; `MECHA_TEST_ALL=1` makes it an error instead.
 */
export function missing(...needed: Tool[]): boolean {
  const absent = needed.filter((tool) => find(tool) === undefined);
  if (absent.length === 0) return false;
  const suite = process.env.npm_package_name ?? "a suite";
  const line = `${suite}: needs ${absent.map((tool) => `${tools[tool].program} (${tools[tool].install})`).join(" and ")}`;
  if (process.env.MECHA_TEST_ALL === "1") throw new Error(`MECHA_TEST_ALL=1 forbids skipping. ${line}`);
  recordSkip(line);
  return true;
}

/** Where `scripts/test.ts` reads what was skipped. */
function recordSkip(line: string): void {
  const folder = join(root, "node_modules/.cache");
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, "mecha-skipped.txt"), `${line}\n`);
}
