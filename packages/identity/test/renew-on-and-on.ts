// Opens an enrolled identity and renews it on and on; prints a line for each renewal. Arguments: the authority's address, the folder, a token or "".
import { createManualClock } from "@mecha/component/conformance";
import { createEnrolledIdentity } from "@mecha/identity";

const [authority = "", folder = "", token = ""] = process.argv.slice(2);
// So late that every certificate has had half of its life when it comes.
const clock = createManualClock(Date.now() + 13 * 60 * 60_000);
const write = () => {};
const identity = await createEnrolledIdentity({
  authority,
  token,
  id: { namespace: "default", appId: "shop" },
  folder,
  clock,
  logger: { info: write, warn: write, error: write },
});
identity.onChange(() => console.log("renewed"));
setInterval(() => clock.advance(60_000), 1);
