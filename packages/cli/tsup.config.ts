import { preset } from "../../tsup.preset.ts";
import { englishOnly, lazyCommonJs, plainBuiltins, thirdPartyLicenses } from "./bundle-plugins.ts";

// The CLI ships as a bundle: nothing to resolve when it starts. What is rare is split off and loaded when it is needed.
export default preset(
  { mecha: "src/mecha.ts", sidecar: "src/run/sidecar.ts" },
  {
    dts: false,
    target: "node24",
    // esbuild shakes by itself; a second pass costs ten seconds and saves nothing.
    treeshake: false,
    noExternal: [/.*/],
    esbuildPlugins: [lazyCommonJs, englishOnly, thirdPartyLicenses],
    plugins: [plainBuiltins],
    esbuildOptions(options) {
      // Less to read and to keep in memory; names stay, for stack traces.
      options.minifyWhitespace = true;
      options.minifySyntax = true;
    },
    // Bundled CommonJS calls `require` for Node's own modules; an ES module has none.
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  },
);
