import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type Component,
  Durability,
  type GetInfoResponse,
  Health,
  type Parameter,
  type Subscription,
  SubscriptionState,
} from "@mecha/api/runtime";
import { formatDuration } from "../format.js";
import pc from "../terminal/colors.js";
import { printable } from "../terminal/printable.js";
import { formatTable } from "../terminal/table.js";

/** What a runtime says of itself, for people. */
export function describe(response: GetInfoResponse, endpoint: string): string {
  const { version, appId, namespace, startTime, processId } = response;
  const upMs = startTime === undefined ? 0 : Date.now() - timestampDate(startTime).getTime();
  const rows = response.components.flatMap(componentRows);
  return [
    `${pc.bold(`mecha ${version}`)} at ${endpoint}, process ${processId}, up ${formatDuration(upMs)}`,
    `app ${pc.bold(appId)}, namespace ${namespace}`,
    "",
    formatTable(["COMPONENT", "TYPE", "BLOCK", "FEATURES", "DURABILITY", "HEALTH"], rows),
    ...describeOutboxes(response.components),
    ...describeBindings(response.components),
    ...describeSubscriptions(response.subscriptions),
  ].join("\n");
}

/** What waits to be handed to another component; nothing if no transaction ever published to one. */
function describeOutboxes(components: readonly Component[]): string[] {
  const rows = components.flatMap(({ name, outboxes }) =>
    outboxes.map(({ pubsub, backlog }) => [name, pubsub, String(backlog)]),
  );
  return rows.length === 0 ? [] : ["", formatTable(["OUTBOX OF", "FOR", "EVENTS WAITING"], rows)];
}

/** What bindings do, and what their events carry; nothing if there are none. */
function describeBindings(components: readonly Component[]): string[] {
  const rows = components.flatMap(({ name, blocks }) =>
    blocks.flatMap(({ operations, inputEvents }) => [
      ...operations.map((operation) => [
        name,
        operation.name,
        listParameters(operation.parameters),
        operation.description,
      ]),
      ...(inputEvents
        ? [[name, pc.dim("(events)"), listParameters(inputEvents.metadata), inputEvents.description]]
        : []),
    ]),
  );
  const named = rows.map(([name = "", ...cells], index) => [rows[index - 1]?.[0] === name ? "" : name, ...cells]);
  return rows.length === 0 ? [] : ["", formatTable(["BINDING", "OPERATION", "METADATA", "DOES"], named)];
}

/** What the runtime posts to the app; nothing if there is nothing. */
function describeSubscriptions(subscriptions: readonly Subscription[]): string[] {
  if (subscriptions.length === 0) return [];
  const rows = subscriptions.map((subscription) => [
    subscription.name,
    subscription.topic === "" ? subscription.component : `${subscription.topic} (group ${subscription.group})`,
    subscription.paths.join(", "),
    [
      `${subscription.acked} acked`,
      `${subscription.retried} retried`,
      `${subscription.rejected} rejected`,
      ...(subscription.unmatched > 0n ? [`${subscription.unmatched} unmatched`] : []),
    ].join(", "),
    describeState(subscription),
  ]);
  return ["", formatTable(["SUBSCRIPTION", "TOPIC", "TO", "DELIVERIES", "STATE"], rows)];
}

function describeState({ state, lastError }: Subscription): string {
  const why = lastError === "" ? "" : `; last error: ${printable(lastError)}`;
  if (state === SubscriptionState.DELIVERING) return `${pc.green("delivering")}${why}`;
  if (state === SubscriptionState.WAITING_FOR_APP) return `${pc.yellow("waiting for the app")}${why}`;
  return `${pc.red("waiting for its component")}${why}`;
}

/** `method, [path], [query.*]`: what need not be there stands in brackets. Many of a kind are cut short: --json has them all. */
function listParameters(parameters: readonly Parameter[]): string {
  const names = parameters.map(({ name, required }) => (required ? name : `[${name}]`));
  const shown = names.length > maxShown ? [...names.slice(0, maxShown), `… ${names.length - maxShown} more`] : names;
  return shown.join(", ") || "-";
}

const maxShown = 5;

/** A row per block that the component serves. */
function componentRows(component: Component): string[][] {
  const name = component.implicit ? `${component.name} ${pc.dim("(embedded)")}` : component.name;
  const blocks = component.blocks.length > 0 ? component.blocks : [undefined];
  return blocks.map((block, index) => [
    index === 0 ? name : "",
    index === 0 ? component.type : "",
    block === undefined ? "-" : `${block.name}${block.default ? pc.dim(" (default)") : ""}`,
    block === undefined || block.features.length === 0 ? "-" : block.features.join(", "),
    block === undefined || block.durability === Durability.UNSPECIFIED ? "-" : (Durability[block.durability] ?? "-"),
    index === 0 ? describeHealth(component) : "",
  ]);
}

function describeHealth({ health, lastError }: Component): string {
  if (health === Health.HEALTHY) return pc.green("healthy");
  if (health === Health.UNHEALTHY) return `${pc.red("unhealthy")}: ${lastError}`;
  return "not known yet";
}
