import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { project } from "./paths.mjs";

/**
 * Small copies in docs/pictures of what the tests saw in JupyterLab and on the page. First:
 *
 *     CROSSFLOW_SCREENSHOTS=$PWD/test-artefacts npm test -- notebooks/jupyterlab page/page kernel-helpers/browser
 *     node scripts/pictures.mjs
 */
const pictures = { "notebook-04-training": "notebook-training", "notebook-05-controls": "notebook-controls", interactive: "interactive", "page-1200": "page" };

const LARGEST_BYTES = 150_000;

for (const [seen, name] of Object.entries(pictures)) {
  const [from, to] = [join(project, "test-artefacts", `${seen}.png`), join(project, "docs", "pictures", `${name}.png`)];
  if (!existsSync(from)) {
    console.error(`${from} is missing: run the tests named at the top of this file first.`);
    process.exitCode = 1;
    continue;
  }
  for (const width of [1000, 860, 720]) {
    await sharp(from).resize({ width, withoutEnlargement: true }).png({ palette: true, colours: 128, effort: 10 }).toFile(to);
    if (statSync(to).size < LARGEST_BYTES) break;
  }
  console.log(`${name}: ${(statSync(to).size / 1000).toFixed(0)} kB`);
}
