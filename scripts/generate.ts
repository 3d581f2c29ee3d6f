// `pnpm generate`: writes @mecha/api's TypeScript from the contracts.
// `pnpm generate --lang go --out DIR`: writes gRPC clients for another language, with that language's own generators.
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

const root = resolve(import.meta.dirname, "..");
const usage = `pnpm generate                                   TypeScript, for this repository (packages/api)
pnpm generate --lang <language> --out <folder>  gRPC clients for another language

Options:
  --lang <language>   python, go, java, rust
  --out <folder>      where to write; made if it is not there
  --package <path>    go only: the import path of the folder, for example example.com/shop/gen
  --python <program>  python only: the interpreter that has grpcio-tools (default: python3)`;

/** What a language's generation needs, whether it is there, and how to get it. */
interface Tool {
  name: string;
  isThere(): boolean;
  install: string;
}

/** A program on PATH. Not every plugin of protoc knows an option that only tells its version: that it starts is enough. */
const program = (name: string, install: string): Tool => ({
  name,
  isThere: () => spawnSync(name, ["--version"], { input: "" }).error === undefined,
  install,
});

interface Language {
  tools: Tool[];
  generate(out: string): void;
}

const { values: flags } = readFlags();

/** Where pnpm was started: what paths on the command line are relative to. */
const here = process.env.INIT_CWD ?? process.cwd();
const python = flags.python.includes("/") ? resolve(here, flags.python) : flags.python;

const languages: Record<string, Language> = {
  python: {
    tools: [
      {
        name: "grpcio-tools",
        isThere: () => spawnSync(python, ["-c", "import grpc_tools"]).status === 0,
        install:
          "python3 -m venv .venv && .venv/bin/pip install grpcio grpcio-tools   # then add: --python .venv/bin/python",
      },
    ],
    generate(out) {
      const files = globSync("mecha/**/*.proto", { cwd: resolve(root, "proto") }).sort((a, b) => a.localeCompare(b));
      run(
        python,
        "-m",
        "grpc_tools.protoc",
        "-Iproto",
        ...["python", "pyi", "grpc_python"].map((kind) => `--${kind}_out=${out}`),
        ...files,
      );
    },
  },
  go: {
    tools: [
      program(
        "protoc-gen-go",
        "go install google.golang.org/protobuf/cmd/protoc-gen-go@latest     # and have $(go env GOPATH)/bin on PATH",
      ),
      program("protoc-gen-go-grpc", "go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@latest"),
    ],
    generate(out) {
      if (flags.package === undefined)
        fail(`go also needs --package: the import path that ${flags.out} has in your module`);
      const opt = ["paths=source_relative"];
      buf({
        managed: { enabled: true, override: [{ file_option: "go_package_prefix", value: flags.package }] },
        plugins: [
          { local: "protoc-gen-go", out, opt },
          { local: "protoc-gen-go-grpc", out, opt },
        ],
      });
    },
  },
  java: {
    tools: [
      program("protoc", "apt-get install protobuf-compiler     # or brew install protobuf"),
      program(
        "protoc-gen-grpc-java",
        "take io.grpc:protoc-gen-grpc-java for your platform from Maven Central, as protoc-gen-grpc-java on PATH",
      ),
    ],
    generate(out) {
      buf({
        managed: { enabled: true, override: [{ file_option: "java_multiple_files", value: true }] },
        plugins: [
          { protoc_builtin: "java", out },
          { local: "protoc-gen-grpc-java", out },
        ],
      });
    },
  },
  rust: {
    tools: [
      program("protoc-gen-prost", "cargo install protoc-gen-prost protoc-gen-prost-crate"),
      program("protoc-gen-tonic", "cargo install protoc-gen-tonic"),
    ],
    generate(out) {
      buf({
        plugins: [
          { local: "protoc-gen-prost", out },
          { local: "protoc-gen-tonic", out, opt: ["no_server"] },
        ],
      });
    },
  },
};

if (flags.help) {
  console.log(usage);
} else if (flags.lang === undefined) {
  run("turbo", "run", "generate", "--output-logs=new-only");
} else {
  generate(flags.lang);
}

function generate(name: string): void {
  const language = languages[name];
  if (language === undefined) fail(`there is no language "${name}"; there are ${Object.keys(languages).join(", ")}`);
  if (flags.out === undefined) fail("where to? Say --out <folder>");
  const missing = language.tools.filter((tool) => !tool.isThere());
  if (missing.length > 0) {
    const names = missing.map((tool) => tool.name).join(" and ");
    fail(`${name} needs ${names}. To install:\n${missing.map(({ install }) => `  ${install}`).join("\n")}`);
  }
  const out = resolve(here, flags.out);
  mkdirSync(out, { recursive: true });
  language.generate(out);
  console.log(`wrote ${name} clients to ${out}`);
}

/** Generates from the blocks' contracts; what they stand beside (google.rpc, grpc.health) every language has in packages of its own. */
function buf(template: { managed?: object; plugins: object[] }): void {
  const inputs = [{ directory: "proto", paths: ["proto/mecha"] }];
  run("buf", "generate", "--template", JSON.stringify({ version: "v2", inputs, ...template }));
}

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status !== 0)
    fail(`${command} failed${error === undefined ? "; what it said stands above" : `: ${error.message}`}`);
}

function fail(message: string): never {
  console.error(`generate: ${message}`);
  process.exit(1);
}

function readFlags() {
  try {
    return parseArgs({
      options: {
        lang: { type: "string" },
        out: { type: "string" },
        package: { type: "string" },
        python: { type: "string", default: "python3" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    fail(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}
