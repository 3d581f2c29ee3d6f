// A bookshop of three apps, one of them in two versions, and what happens between them: a canary, a failure, faults, a stranger.
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atATime, type Visits, visit, visitOften } from "./customers.ts";
import { Apps, ask, metric } from "./mecha-up.ts";
import { begin, end, proves, shows, step, until } from "./narrator.ts";
import { Collector, drawTrace } from "./traces.ts";

begin("Mecha bookshop, on the embedded default");
await using cleanUp = new AsyncDisposableStack();
const scratch = await mkdtemp(join(tmpdir(), "mecha-bookshop-"));
cleanUp.defer(() => rm(scratch, { recursive: true, force: true }));
const collector = cleanUp.use(new Collector());
const env = { OTEL_EXPORTER_OTLP_ENDPOINT: await collector.listen() };

// A folder that is empty at first: a policy that is copied into it holds from then on, as all resource files are watched.
const changes = join(scratch, "changes");
await mkdir(changes);
const apply = (file: string) => copyFile(join(import.meta.dirname, "../../changes", file), join(changes, file));

const apps = cleanUp.use(await Apps.start(["mecha.yaml", "policies", changes], join(scratch, "data"), env));
const [storefront, catalogue, v2] = [apps.get("storefront"), apps.get("catalogue"), apps.get("reviews-v2")];
const beta = { "x-beta": "1" };

await step("Five apps, one command: mecha up", async () => {
  const { status } = await visit(storefront.url);
  assert.equal(status, 200);
  proves(`${apps.names.join(", ")}: each beside a runtime of its own`);
  proves("a page came through storefront, catalogue and reviews; no app knows where the others are");
});

await step("Version 2 of the reviews gets a tenth of the calls", async () => {
  const visits = await visitOften(200, storefront.url);
  assert.equal(visits.answered, 200);
  // Of 200 draws of a tenth: fewer or more come up once in a million stories.
  assert.ok(visits.of("2") >= 3 && visits.of("2") <= 43, `${visits.of("2")} of 200`);
  proves(`of 200 pages, ${visits.of("1")} show version 1 and ${visits.of("2")} version 2, by a split of 90 to 10`);
});

await step("Beta testers always get it", async () => {
  const visits = await visitOften(40, storefront.url, beta);
  assert.equal(visits.of("2"), 40);
  proves("40 of 40 pages with x-beta: 1 show version 2, with stars");
});

await step("Version 2 breaks, and no customer notices", async () => {
  await fetch(`${v2.url}/broken`, { method: "PUT" });
  const started = performance.now();
  const visits = await visitOften(200, storefront.url);
  const { failures } = (await fetch(`${v2.url}/broken`).then((answer) => answer.json())) as { failures: number };
  assert.deepEqual([visits.answered, visits.of("1")], [200, 200]);
  proves("200 of 200 pages came: what version 2 failed at, version 1 was asked");

  const ejections = await metric(catalogue, 'mecha_ejections_total{target="app/reviews"}');
  assert.ok(ejections >= 1, "version 2 was not ejected");
  // Three in a row, what was under way meanwhile, and one try each time that it may come back, after 5 s or longer.
  const tries = Math.floor((performance.now() - started) / 5_000);
  assert.ok(failures >= 3 && failures < 3 + atATime + tries, `it failed ${failures} times`);
  proves(`it was ejected after ${failures} failures: by its share it would have had about 20`);

  await fetch(`${v2.url}/broken`, { method: "DELETE" });
  await until("version 2 is back", async () => (await visit(storefront.url)).version === "2");
  proves("mended, it is tried again after a while, and has its share back");
});

let patient: Visits;

await step("Three calls in ten fail on purpose, and retries absorb it", async () => {
  await apply("faults.yaml");
  await until("faults are injected", async () => (await visit(storefront.url)).status === 502);
  const hit = await visitOften(100, storefront.url);
  // Here too: once in a million stories fewer or more.
  assert.ok(hit.answered >= 47 && hit.answered <= 90, `${hit.answered} of 100`);
  proves(`faults.yaml is there: only ${hit.answered} of 100 pages come`);

  await apply("retries.yaml");
  await until("retries absorb the faults", async () => (await visitOften(40, storefront.url)).answered === 40);
  patient = await visitOften(100, storefront.url);
  // That all ten attempts of a call meet the fault happens to one in 170,000, and to two in a hundred never.
  assert.ok(patient.answered >= 99, `${patient.answered} of 100`);
  proves(`retries.yaml, too: ${patient.answered} of 100 pages come, and the faults go on; nothing was restarted`);
});

await step("An app that is not listed is refused", async () => {
  const answer = await fetch(`${apps.get("harvester").url}/harvest`, { method: "POST" });
  const { status, text } = (await answer.json()) as { status: number; text: string };
  assert.equal(status, 403);
  const { message, details } = JSON.parse(text) as { message: string; details: { debug: { reason: string } }[] };
  assert.equal(details[0]?.debug.reason, "ACCESS_DENIED");
  proves("the harvester says that it is the catalogue, its certificate says otherwise: 403 ACCESS_DENIED");
  shows([message]);

  const refusal = () => apps.logs("reviews-v1", "reviews-v2").find(({ from }) => from === "harvester");
  await until("the refusal is logged", () => refusal() !== undefined);
  assert.equal(refusal()?.policy, "reviews-readers");
  proves(`the runtime of the reviews logged it: access policy ${refusal()?.policy}, ${refusal()?.source}`);
});

await step("One of these visits, through all apps", async () => {
  // Of a visit that met a fault, once all runtimes have told of it.
  const traces = () => patient.all.map(({ traceId }) => collector.spansOf(traceId));
  const told = () =>
    traces().find((spans) => spans.some(({ name }) => name === "serve catalogue") && spans.length >= 7);
  await until("a trace with a retry is complete", () => told() !== undefined);
  const spans = told() ?? [];
  shows(drawTrace(spans));
  assert.deepEqual(new Set(spans.map(({ appId }) => appId)), new Set(["storefront", "catalogue", "reviews"]));
  proves(`one trace, ${spans[0]?.traceId}, from three runtimes: the fault, the retry, and where the time went`);
});

await step("Why a call goes as it goes: mecha policy explain", async () => {
  const call = ["--from", "catalogue", "--to", "reviews", "--header", "x-beta: 1", "GET", "/reviews/9780141439600"];
  const explained = await ask("policy", "explain", ...call, "--resources", "mecha.yaml", "policies", changes);
  shows(explained);
  const plain = explained.join("\n");
  for (const what of ["reviews-canary", "reviews-care", "house-rules", "reviews-readers", "allowed"]) {
    assert.ok(plain.includes(what), `there is nothing about ${what}`);
  }
  proves("which policy holds for each part of a call, where it stands, and which others lost");
});

end();
