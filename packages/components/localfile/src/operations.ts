import type { InputDescription, Operation, Parameter } from "@mecha/component";

const path: Parameter = {
  name: "path",
  type: "string",
  required: true,
  description:
    'The file, relative to the root: "reports/today.txt". At most 1024 bytes; no "..", no absolute path, no name that some system does not have.',
};

const read: Operation = {
  name: "read",
  description: "Answers with a file's content.",
  parameters: [path],
  output: "*/*",
  results: [
    { name: "size", type: "integer", required: true, description: "Its size in bytes." },
    { name: "modified", type: "string", required: true, description: "When it was changed last, ISO 8601." },
  ],
};

const list: Operation = {
  name: "list",
  description: "Lists the files and folders in a folder by name, as JSON: [{name, type, size, modified}].",
  parameters: [
    {
      name: "path",
      type: "string",
      required: false,
      description: "The folder, relative to the root. Default: the root.",
    },
    {
      name: "after",
      type: "string",
      required: false,
      description: "Only names after this one: the `next` of the page before.",
    },
    { name: "limit", type: "integer", required: false, description: "How many at the most: 1 to 1000. Default: 100." },
  ],
  output: "application/json",
  results: [
    { name: "next", type: "string", required: false, description: "Where the next page begins, if there is one." },
  ],
};

const write: Operation = {
  name: "write",
  description: "Makes the data a file's content, all of it or nothing, durably. Makes the folders that it is in.",
  parameters: [
    path,
    {
      name: "ifAbsent",
      type: "boolean",
      required: false,
      description: "Only if there is no such file, else ALREADY_EXISTS. Default: false.",
    },
  ],
  input: "*/*",
};

const remove: Operation = {
  name: "delete",
  description: "Deletes a file.",
  parameters: [path],
  results: [{ name: "existed", type: "boolean", required: true, description: "Whether there was one." }],
};

export const readOperations: readonly Operation[] = [read, list];
export const allOperations: readonly Operation[] = [read, write, remove, list];

export const events: InputDescription = {
  description: "A file appeared, changed or vanished.",
  metadata: [
    { name: "path", type: "string", required: true, description: "The file, relative to the root." },
    {
      name: "change",
      type: "string",
      required: true,
      description: 'What happened: "created", "changed" or "deleted".',
    },
    { name: "size", type: "integer", required: false, description: "Its size in bytes, unless it vanished." },
  ],
};
