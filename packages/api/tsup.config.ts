import { preset } from "../../tsup.preset.ts";

export default preset({
  pubsub: "src/gen/mecha/pubsub/v1/pubsub_pb.ts",
  binding: "src/gen/mecha/binding/v1/binding_pb.ts",
  state: "src/gen/mecha/state/v1/state_pb.ts",
  runtime: "src/gen/mecha/runtime/v1/runtime_pb.ts",
  ca: "src/gen/mecha/ca/v1/ca_pb.ts",
  rpc: "src/gen/google/rpc/error_details_pb.ts",
  health: "src/gen/grpc/health/v1/health_pb.ts",
});
