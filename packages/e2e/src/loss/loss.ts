// `pnpm loss`: whether components lose or reorder events while everything is killed.
import { parseArgs } from "node:util";
import { isSound, type LossReport, tryLoss } from "./run.ts";
import { isSubjectMissing, type Subject, subjects } from "./subjects.ts";
import { renderReports } from "./table.ts";

const names = subjects.map(({ name }) => name).join(", ");
const help = `Publishes numbered events from 4 processes to \`mecha serve\`, kills publishers, runtime, subscriber and
the component's server with SIGKILL at random moments, brings all back, and counts what became of every event.

  pnpm loss [--component NAMES] [--rounds N] [--seed TEXT] [--json]

  --component  which, separated by commas: ${names}.
               Default: all. With "outbox" events are published within transactions of a state store.
  --rounds     rounds for each; in every one all are killed once, two publishers. Default: 30.
  --seed       kills at the same moments as the run that printed it. Default: a new one.
  --json       reports as JSON instead of a table.

acknowledged  events whose publish was answered
lost          of those, deliveries that a group was never given (there are two groups, one ordered)
reordered     first deliveries to the ordered group that came after a later event of their ordering key
duplicated    deliveries after the first, all under the same source and id: at least once is the promise

Exits with 1 if anything was lost, reordered, given up as a dead letter, or never published by anybody.`;

const values = parse();
if (values.help) {
  console.log(help);
  process.exit();
}
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) refuse(`--rounds is "${values.rounds}"; a number from 1 on is meant`);
const chosen = values.component === undefined ? installed() : values.component.split(",").map(find);

const reports: LossReport[] = [];
for (const subject of chosen) {
  const isTerminal = process.stderr.isTTY;
  try {
    const report = await tryLoss(subject, {
      rounds,
      seed: values.seed,
      onRound(round, { acknowledged, lost, reordered }) {
        const line = `${subject.name}: round ${round} of ${rounds}, ${acknowledged} acknowledged, ${lost} lost, ${reordered} reordered`;
        if (isTerminal) process.stderr.write(`\r\u001b[K${line}`);
        else if (lost + reordered > 0) process.stderr.write(`${line}\n`);
      },
    });
    reports.push(report);
    if (!isSound(report)) process.exitCode = 1;
    if (report.foreign > 0) console.error(`\n${subject.name}: ${report.foreign} deliveries of what nobody published`);
    if (report.dead > 0) console.error(`\n${subject.name}: ${report.dead} dead letters, though no event is poisonous`);
  } catch (error) {
    console.error(`\n${subject.name}:`, error);
    process.exitCode = 1;
  }
  if (isTerminal) process.stderr.write("\r\u001b[K");
}
console.log(values.json ? JSON.stringify(reports, undefined, 2) : renderReports(reports));
if (!values.json) console.log(`\n--seed ${values.seed}`);

function parse() {
  try {
    return parseArgs({
      options: {
        component: { type: "string" },
        rounds: { type: "string", default: "30" },
        seed: { type: "string", default: Math.random().toString(36).slice(2, 10) },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** All that can be tried here; says what cannot. */
function installed(): Subject[] {
  return subjects.filter((subject) => {
    if (!isSubjectMissing(subject)) return true;
    console.error(`${subject.name} is skipped: ${subject.backend.needs.join(" and ")} is not installed`);
    return false;
  });
}

function find(name: string): Subject {
  return subjects.find((one) => one.name === name.trim()) ?? refuse(`there is no "${name}"; there are: ${names}`);
}

function refuse(message: string): never {
  console.error(`${message}\n\nSee pnpm loss --help.`);
  process.exit(2);
}
