import { ComponentError } from "@mecha/component";

/** What names of the component's own begin with; callers can neither make nor see one. */
export const ownPrefix = ".mecha-";

const maxPathBytes = 1024;
const maxNameBytes = 255;

/** What Windows takes for a device, whatever the extension (https://learn.microsoft.com/windows/win32/fileio/naming-a-file). */
const device = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;

/**
 * A path's names, from the root down; "" is the root. Throws BAD_REQUEST for what is no path, or may be none on another system: a path that is
 * good here is good everywhere.
 */
export function parsePath(path: string, field = "path"): string[] {
  if (path === "") return [];
  if (Buffer.byteLength(path) > maxPathBytes) throw badPath(path, field, `is longer than ${maxPathBytes} bytes`);
  if (path.startsWith("/"))
    throw badPath(path, field, 'is absolute; it must be relative to the root, as in "reports/today.txt"');
  const names = path.split("/");
  for (const name of names) {
    const fault = faultOf(name);
    if (fault !== undefined) throw badPath(path, field, fault);
  }
  return names;
}

function faultOf(name: string): string | undefined {
  if (name === "") return 'has an empty name; write no "//" and no "/" at its end';
  if (name === "." || name === "..") return `has "${name}" in it, which is not followed`;
  if (Buffer.byteLength(name) > maxNameBytes) return `has a name of more than ${maxNameBytes} bytes`;
  if (!name.isWellFormed()) return "is no well-formed Unicode";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no name has one, NUL least of all.
  if (/[\u0000-\u001f\u007f<>:"\\|?*]/.test(name))
    return 'has a character that no name has on every system: a control character or one of <>:"\\|?*';
  if (/[. ]$/.test(name)) return "has a name that ends with a dot or a space";
  if (device.test(name)) return `has the name "${name}", which is a device on Windows`;
  return name.startsWith(ownPrefix)
    ? `has a name that begins with "${ownPrefix}", which is the component's own`
    : undefined;
}

/** BAD_REQUEST about a path. */
export function badPath(path: string, field: string, description: string): ComponentError {
  const violations = [{ field: `metadata["${field}"]`, description }];
  return new ComponentError("BAD_REQUEST", `path "${path.slice(0, 200)}" ${description}`, { violations });
}
