// What else one puts between two apps: pairs of proxies, or sidecars, with mutual TLS between them.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Collector } from "./collector.ts";
import { freePorts, type Processes, untilAnswered } from "./processes.ts";

/** A way to an app: where calls go to, and the processes they pass. */
export interface Way {
  readonly url: string;
  readonly pids: readonly number[];
}

export interface StartOptions {
  readonly processes: Processes;
  readonly folder: string;
  /** The port of the app, on the loopback. */
  readonly appPort: number;
}

const call = { method: "POST", body: "x" };

/** Which part of the calls are traced, and where their spans go. */
export interface Traced {
  readonly collector: Collector;
  /** 0 to 1. */
  readonly share: number;
}

/** Two runtimes, as `mecha serve` starts them: with metrics, and with traces if some are wanted. */
export async function startMecha({ processes, folder, appPort }: StartOptions, traced?: Traced): Promise<Way> {
  const env = {
    ...process.env,
    ...(traced !== undefined && {
      OTEL_EXPORTER_OTLP_ENDPOINT: traced.collector.url,
      OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
      OTEL_TRACES_SAMPLER_ARG: String(traced.share),
    }),
  };
  const cli = fileURLToPath(new URL("../../../cli/dist/mecha.js", import.meta.url));
  const serve = (id: string, ...more: string[]) =>
    processes.startNode(
      [cli, "serve", "--app-id", id, "--port", "0", ...more],
      { cwd: folder, env },
      /"endpoint":"(http:[^"]+)".*"ready"/,
    );
  const orders = await serve("orders", "--app-port", String(appPort));
  const shop = await serve("shop");
  const url = `${shop.found}/invoke/orders/echo`;
  await untilAnswered(url, call);
  return { url, pids: [shop.pid, orders.pid] };
}

/** Two nginx of one worker each: no names, no policies, no metrics, just the way. Undefined where there is no nginx. */
export async function startNginx({ processes, folder, appPort }: StartOptions): Promise<Way | undefined> {
  if (!isInstalled("nginx") || !isInstalled("openssl")) return undefined;
  const cwd = join(folder, "nginx");
  mkdirSync(cwd);
  makeCertificates(cwd);
  const [near = 0, far = 0] = await freePorts(2);
  const conf = (name: string, upstream: string, server: string) => {
    const path = join(cwd, `${name}.conf`);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    writeFileSync(
      path,
      `daemon off; master_process off; pid ${cwd}/${name}.pid; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off; keepalive_timeout 1h; keepalive_requests 100000000; client_max_body_size 0;
  proxy_request_buffering off; proxy_buffering off; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $http_host;
  ${temporary.map((each) => `${each}_temp_path ${cwd}/${name}-${each};`).join(" ")}
  upstream next { server ${upstream} max_fails=0; keepalive 64; keepalive_requests 100000000; }
  server { ${server} }
}
`,
    );
    return processes.start("nginx", ["-p", cwd, "-c", path, "-e", "stderr"], { cwd });
  };
  const trust = (name: string, prefix: string) =>
    `${prefix}certificate ${cwd}/${name}.crt; ${prefix}certificate_key ${cwd}/${name}.key; ${prefix}protocols TLSv1.3;`;
  const b = conf(
    "b",
    `127.0.0.1:${appPort}`,
    `listen 127.0.0.1:${far} ssl; ${trust("b", "ssl_")} ssl_client_certificate ${cwd}/ca.crt; ssl_verify_client on;
    location / { proxy_pass http://next; }`,
  );
  const a = conf(
    "a",
    `127.0.0.1:${far}`,
    `listen 127.0.0.1:${near};
    location / { proxy_pass https://next; ${trust("a", "proxy_ssl_")}
      proxy_ssl_trusted_certificate ${cwd}/ca.crt; proxy_ssl_verify on; proxy_ssl_name b.test; proxy_ssl_server_name on; }`,
  );
  const url = `http://127.0.0.1:${near}/echo`;
  await untilAnswered(url, call);
  return { url, pids: [a, b] };
}

/** An authority, and a certificate each for "a" and "b". */
function makeCertificates(cwd: string): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd, stdio: ["ignore", "ignore", "ignore"] });
  const key = (name: string) => openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
  key("ca");
  openssl("req", "-x509", "-new", "-key", "ca.key", "-days", "2", "-subj", "/CN=ca", "-out", "ca.crt");
  for (const name of ["a", "b"]) {
    key(name);
    writeFileSync(join(cwd, `${name}.ext`), `subjectAltName=DNS:${name}.test\n`);
    openssl("req", "-new", "-key", `${name}.key`, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    const signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", `${name}.ext`];
    openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-out", `${name}.crt`);
  }
}

/** Two of Dapr's sidecars and its authority, standalone: metrics as by default, no traces, names by its SQLite component. Undefined where `daprd` or `sentry` is not on the path. */
export async function startDapr({ processes, folder, appPort }: StartOptions): Promise<Way | undefined> {
  if (!isInstalled("daprd") || !isInstalled("sentry")) return undefined;
  const cwd = join(folder, "dapr");
  mkdirSync(join(cwd, "certificates"), { recursive: true });
  const config = join(cwd, "config.yaml");
  writeFileSync(
    config,
    `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: { name: bench }
spec:
  mtls: { enabled: true }
  tracing: { samplingRate: "0" }
  nameResolution: { component: sqlite, version: v1, configuration: { connectionString: "${cwd}/names.db" } }
`,
  );
  const [authority, health, authorityMetrics, ...ports] = await freePorts(13);
  const common = ["--mode", "standalone", "--config", config, "--log-level", "error"];
  const trust = ["--trust-domain", "localhost", "--issuer-credentials", join(cwd, "certificates")];
  const listening = ["--listen-address", "127.0.0.1", "--port", `${authority}`, "--healthz-port", `${health}`];
  processes.start("sentry", [...common, ...trust, ...listening, "--metrics-port", `${authorityMetrics}`], { cwd });
  await untilAnswered(`http://127.0.0.1:${health}/healthz`, {});
  const env = {
    ...process.env,
    NAMESPACE: "default",
    DAPR_HOST_IP: "127.0.0.1",
    DAPR_TRUST_ANCHORS: readFileSync(join(cwd, "certificates", "ca.crt"), "utf8"),
  };
  const sidecar = (id: string, [http, grpc, internal, metrics, profile]: readonly number[], ...more: string[]) => {
    const own = ["--dapr-listen-addresses", "127.0.0.1", "--dapr-http-port", `${http}`, "--dapr-grpc-port", `${grpc}`];
    const peer = ["--dapr-internal-grpc-listen-address", "127.0.0.1", "--dapr-internal-grpc-port", `${internal}`];
    const other = [
      "--metrics-listen-address",
      "127.0.0.1",
      "--metrics-port",
      `${metrics}`,
      "--profile-port",
      `${profile}`,
    ];
    const identity = ["--enable-mtls=true", "--sentry-address", `127.0.0.1:${authority}`];
    const plane = ["--control-plane-trust-domain", "localhost", "--control-plane-namespace", "default"];
    const all = ["--app-id", id, ...common, ...own, ...peer, ...other, ...identity, ...plane];
    return processes.start("daprd", [...all, "--dapr-graceful-shutdown-seconds", "1", ...more], { cwd, env });
  };
  const app = ["--app-port", `${appPort}`, "--app-protocol", "http", "--app-channel-address", "127.0.0.1"];
  const orders = sidecar("orders", ports.slice(0, 5), ...app);
  const shop = sidecar("shop", ports.slice(5));
  const url = `http://127.0.0.1:${ports[5]}/v1.0/invoke/orders/method/echo`;
  await untilAnswered(url, call);
  return { url, pids: [shop, orders] };
}

function isInstalled(command: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
