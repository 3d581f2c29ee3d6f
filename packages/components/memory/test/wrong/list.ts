import type { Mutant } from "./mutant.js";

export const listMutants: readonly Mutant[] = [
  {
    name: "lists in the order of UTF-16",
    caught: ["list: keys come in the byte order of their UTF-8"],
    change: (store) => ({
      async list(call) {
        const { items, more } = await store.list(call);
        return { items: items.toSorted((a, b) => (a.key < b.key ? -1 : 1)), more };
      },
    }),
  },
  {
    name: "takes a prefix for a pattern",
    caught: ["list: a prefix is bytes, not a pattern"],
    change: (store) => ({
      async list(call) {
        const pattern = call.prefix
          .replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
          .replaceAll("_", ".")
          .replaceAll("%", ".*");
        const { items } = await store.list({ ...call, prefix: "", limit: 1_000 });
        const matching = items.filter(({ key }) => new RegExp(`^${pattern}`, "su").test(key));
        return { items: matching.slice(0, call.limit), more: matching.length > call.limit };
      },
    }),
  },
  {
    name: "lists the key again after which it goes on",
    caught: ["list: goes on after a key, whether it is there or not"],
    change: (store) => ({
      async list(call) {
        const page = await store.list(call);
        const again = call.after?.startsWith(call.prefix) ? await store.get({ ...call, key: call.after }) : undefined;
        return again === undefined ? page : { items: [again, ...page.items], more: page.more };
      },
    }),
  },
  {
    name: "never says that more follows",
    caught: [
      "list: a page says whether another may follow",
      "list: a page ends at its limit of bytes, but holds one item",
    ],
    change: (store) => ({ list: async (call) => ({ ...(await store.list(call)), more: false }) }),
  },
  {
    name: "counts the bytes of values that it leaves out",
    caught: ["list: keysOnly leaves out values, and their bytes do not count"],
    change: (store) => ({
      async list(call) {
        const { items, more } = await store.list({ ...call, keysOnly: false });
        return { items: items.map((item) => ({ ...item, value: new Uint8Array() })), more };
      },
    }),
  },
  {
    name: "pages by position",
    caught: ["list: while others write no key comes twice and no untouched key is skipped"],
    change: (store) => {
      let position = 0;
      return {
        async list(call) {
          if (call.after === undefined) position = 0;
          const { items } = await store.list({ ...call, after: undefined, limit: 1_000 });
          const page = items.slice(position, position + call.limit);
          position += page.length;
          return { items: page, more: position < items.length };
        },
      };
    },
  },
];
