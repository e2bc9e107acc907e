/**
 * Mends the notebook kernel tslab at start-up. Loaded before it:
 *
 *     node --require dist/src/kernel-helpers/preload.js node_modules/tslab/bin/tslab kernel --config-path FILE
 *
 * Each file in preload/ mends one defect and says which. They reach into tslab's internals, hence the pinned versions:
 * with any other version nothing is touched and one line says so.
 */
import { installAwaitRuntime, installAwaits } from "./preload/awaits";
import { installCellErrors } from "./preload/cell-errors";
import { createCellRegistry } from "./preload/cells";
import { installComms } from "./preload/comms";
import { installCompilation } from "./preload/compilation";
import { installCompilerOptions } from "./preload/compiler-options";
import { installInterrupt } from "./preload/interrupt";
import { installLastValue } from "./preload/last-value";
import { installModuleResolution } from "./preload/module-resolution";
import { installProcessEnd } from "./preload/process-end";
import { createRequestQueue } from "./preload/request-queue";
import { installRequests } from "./preload/requests";
import { enterSessionFolder } from "./preload/session-folder";
import { installShorthand } from "./preload/shorthand";
import { installSockets } from "./preload/sockets";
import { installSourceMaps } from "./preload/source-maps";
import { loadTslab, replaceCompiler, versionMismatch } from "./preload/tslab";

const mismatch = versionMismatch();
if (mismatch) process.stderr.write(`${mismatch}\n`);
else mendTslab();

function mendTslab(): void {
  const folder = enterSessionFolder();
  const cells = createCellRegistry();
  const compiler = replaceCompiler((changed) => {
    installCompilerOptions(changed, folder);
    installModuleResolution(changed, folder);
    installAwaits(changed);
    installShorthand(changed);
    installSourceMaps(changed, cells);
  });
  const tslab = loadTslab();
  folder.install(tslab);
  cells.install(tslab);
  installCellErrors(tslab, cells);
  installLastValue(tslab);
  const interrupt = installInterrupt(tslab);
  installAwaitRuntime(tslab, compiler, interrupt.throwIfInterrupted);
  const compilation = installCompilation(tslab, compiler);
  installSockets(tslab);
  const queue = createRequestQueue();
  installComms(tslab, { queue, interrupt });
  installRequests(tslab, { cells, compilation, interrupt, queue, project: folder.project });
  installProcessEnd(tslab);
}
