import { featureMutants } from "./features.js";
import { groupMutants } from "./groups.js";
import { publishingMutants } from "./publishing.js";
import { receivingMutants } from "./receiving.js";
import { routingMutants } from "./routing.js";
import { settlingMutants } from "./settling.js";

export const mutants = [
  ...publishingMutants,
  ...routingMutants,
  ...receivingMutants,
  ...settlingMutants,
  ...featureMutants,
  ...groupMutants,
];
