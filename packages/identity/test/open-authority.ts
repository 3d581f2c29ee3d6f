// Opens the authority of a data directory at a given moment and prints its fingerprint. Arguments: the folder; when, ms since the epoch.
import { openAuthority } from "@mecha/identity";

const [dataDir = "", start = "0"] = process.argv.slice(2);
while (Date.now() < Number(start));
console.log(openAuthority(dataDir, "mecha.internal", Date.now()).certificate.fingerprint256);
