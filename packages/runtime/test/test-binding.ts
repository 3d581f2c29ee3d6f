import {
  type BindingData,
  type Component,
  createInputQueue,
  defineComponent,
  type InputQueue,
  type InvokeCall,
  type Operation,
  z,
} from "@mecha/component";

/** What a {@link testBinding} was asked, and its events. */
export interface TestBindingControls {
  readonly calls: InvokeCall[];
  queue(): InputQueue;
}

const config = z.object({
  outputOnly: z.boolean().default(false).describe("Whether it has no events."),
  answerBytes: z.int().default(0).describe("How long its answers are."),
});

const operations: readonly Operation[] = [
  {
    name: "echo",
    description: "Answers with what it is given.",
    parameters: [
      { name: "times", type: "integer", required: false, description: "How often. Default 1." },
      { name: "wait", type: "duration", required: false, description: "How long it takes." },
      { name: "header.*", type: "string", required: false, description: "What else." },
    ],
    input: "*/*",
    output: "*/*",
  },
  {
    name: "drop",
    description: "Forgets a thing.",
    parameters: [{ name: "thing", type: "string", required: true, description: "Which." }],
  },
];

/** A binding that answers what it is given, and whose events a test puts. */
export function testBinding() {
  const queues: InputQueue[] = [];
  const controls: TestBindingControls = {
    calls: [],
    queue() {
      const queue = queues.at(-1);
      if (queue === undefined) throw new Error("the binding was not started");
      return queue;
    },
  };
  const definition = defineComponent({
    type: "echo",
    description: "For tests.",
    config,
    serves: { binding: { features: ["OUTPUT", "INPUT"], operations } },
    async create({ outputOnly, answerBytes }, { clock }): Promise<Component> {
      const queue = createInputQueue({ clock });
      queues.push(queue);
      const input = {
        description: "What a test puts.",
        contentType: "text/plain",
        metadata: [],
        consume: () => queue.consume(),
      };
      return {
        blocks: {
          binding: {
            features: outputOnly ? ["OUTPUT"] : ["OUTPUT", "INPUT"],
            operations,
            maxDataBytes: 1000,
            invoke(call): BindingData {
              controls.calls.push(call);
              return answerBytes > 0 ? { ...call, data: new Uint8Array(answerBytes) } : call;
            },
            ...(!outputOnly && { input }),
            endpoint: {
              maxBodyBytes: 10,
              handle: ({ method, path, body, headers }) => ({
                status: 202,
                headers: { "x-sender": headers["x-sender"] ?? "" },
                body: `${method} ${path} ${Buffer.from(body).toString()}`,
              }),
            },
          },
        },
        async health() {},
        close: async () => queue.close(),
      };
    },
  });
  return { definition, controls };
}
