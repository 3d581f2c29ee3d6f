import { PubSubService } from "@mecha/api/pubsub";
import type { Block } from "../block.js";
import { createPublishDoor } from "./http.js";
import { createPubSubService } from "./service.js";

/** `mecha.pubsub.v1`: the service, and `/publish/<topic>` beside it. */
export const pubsubBlock: Block = {
  service: PubSubService,
  start(context) {
    const service = context.observer.watch(PubSubService, createPubSubService(context));
    return { routes: (router) => router.service(PubSubService, service), door: createPublishDoor(service) };
  },
};
