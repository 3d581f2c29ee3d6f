/** A value as YAML in one line: `{ total: 5s, codes: [502, 503] }`, as it may stand in a resource. */
export function formatFlow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatFlow).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(([name, inner]) => `${formatScalar(name)}: ${formatFlow(inner)}`);
    return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
  }
  return formatScalar(value);
}

/** Words stand as they are; what YAML, or a terminal, would take for something else is quoted. */
function formatScalar(value: unknown): string {
  const isWord =
    typeof value === "string" && /^[A-Za-z0-9][\w.%/-]*$/.test(value) && !/^(true|false|null|[\d.e]+)$/i.test(value);
  return isWord ? value : JSON.stringify(value);
}
