import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const script = join(import.meta.dirname, "../../../scripts/generate.ts");

/** `pnpm generate` where nothing is installed. */
function generate(...args: string[]): { status: number | null; stderr: string } {
  const env = { PATH: "/nowhere" };
  const { status, stderr } = spawnSync(process.execPath, [script, ...args], { env, encoding: "utf8" });
  return { status, stderr };
}

it.each([
  ["python", "generate: python needs grpcio-tools. To install:\n  python3 -m venv"],
  ["go", "generate: go needs protoc-gen-go and protoc-gen-go-grpc. To install:\n  go install"],
  ["java", "generate: java needs protoc and protoc-gen-grpc-java. To install:\n  apt-get install protobuf-compiler"],
  ["rust", "generate: rust needs protoc-gen-prost and protoc-gen-tonic. To install:\n  cargo install"],
])("says what %s needs and how to install it", (language, message) => {
  const { status, stderr } = generate("--lang", language, "--out", "never-made");
  expect(stderr).toContain(message);
  expect(status).toBe(1);
});

it("says what is wrong with a command line", () => {
  expect(generate("--lang", "cobol", "--out", "x").stderr).toContain(
    'no language "cobol"; there are python, go, java, rust',
  );
  expect(generate("--lang", "go").stderr).toContain("where to? Say --out <folder>");
});
