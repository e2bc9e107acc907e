import { escapeHtml, scriptJson } from "../kernel-helpers/html";
import type { PageBundle } from "./bundle";
import type { PageModel } from "./client/messages";

/** All that goes into the page. */
export interface PageParts {
  model: PageModel;
  bundle: PageBundle;
  /** Gzip-compressed, in base64: the worker's program, the weights, tfjs' WebAssembly program. */
  packed: { worker: string; weights: string; program: string };
  /** Pictures drawn beforehand, a row a class: a data address and what it shows. */
  gallery: { address: string; columns: number; width: number; height: number };
  /** Policy of what the page may load and run. */
  policy: string;
  /** Who drew the training images, where that is known. */
  credit: string;
}

interface Slider {
  name: string;
  label: string;
  max: number;
  step: number;
  value: number;
}

const slider = ({ name, label, max, step, value }: Slider): string =>
  `<div class="slider"><label for="input-${name}">${label}</label><input type="range" id="input-${name}" min="0" max="${max}" step="${step}" value="${value}"><output id="value-${name}" for="input-${name}">${value}</output></div>`;

/** The page as one HTML document that loads nothing. */
export function pageHtml({ model, bundle, packed, gallery, policy, credit }: PageParts): string {
  const { title, network, classNames, parameters, steps } = model;
  const facts = [`${classNames.length} classes`, `${parameters.toLocaleString("en-US")} weights`, ...(steps === undefined ? [] : [`${steps.toLocaleString("en-US")} training steps`]), `${network.imageSize} × ${network.imageSize} pixels`];
  const name = escapeHtml(title);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta name="description" content="A one-step image generator that runs in your browser.">
<title>${name}</title>
<link rel="icon" href="data:,">
<style>${bundle.style}</style>
</head>
<body>
<header>
<h1>${name}</h1>
<p>Every picture is one evaluation of a network, <span class="formula">x = F(ε, r, y)</span>: noise <span class="formula">ε</span> in, picture out. It runs here, in your browser, and sends nothing anywhere. ${facts.map(escapeHtml).join(" · ")}.</p>
</header>
<main>
<div class="studio">
<section class="stage" aria-label="Picture">
<figure class="frame" style="margin: 0">
<canvas id="picture" width="${network.imageSize}" height="${network.imageSize}" role="img" aria-label="Generated picture"></canvas>
<figcaption><span id="caption"></span><span><span id="time"></span></span></figcaption>
</figure>
<fieldset disabled aria-label="What to do">
<div class="buttons">
<button type="button" id="shuffle" class="main">New noise</button>
<button type="button" id="play" aria-pressed="false" title="Walks to the other noise and back">Walk</button>
<button type="button" id="save" title="Saves the picture as PNG">Save</button>
<button type="button" id="reset">Reset</button>
</div>
</fieldset>
<p id="status" role="status">Starting the generator …</p>
<noscript>This page draws with JavaScript, which is off. The pictures below were drawn beforehand.</noscript>
</section>
<div>
<fieldset disabled class="card"><h2 id="classes-title">Class <span class="formula">y</span></h2><p>The same noise in each class.</p><div class="classes" id="classes" role="radiogroup" aria-labelledby="classes-title"></div></fieldset>
<fieldset disabled class="card"><h2>Noise <span class="formula">ε</span></h2><p>The same number gives the same noise, and the same noise the same picture. Strength 1 is what the network was trained for.</p>
${slider({ name: "seed", label: "Noise", max: 999, step: 1, value: 310 })}
${slider({ name: "strength", label: "Strength", max: 1.6, step: 0.05, value: 1 })}
</fieldset>
<fieldset disabled class="card"><h2>Between two noises</h2><p>An arc from one noise to another, which stays noise all the way.</p>
${slider({ name: "otherSeed", label: "Other noise", max: 999, step: 1, value: 700 })}
${slider({ name: "blend", label: "Way", max: 1, step: 0.01, value: 0 })}
<div class="strip" id="strip-blend" role="group" aria-label="Steps of the way"></div><div class="ends"><span>this noise</span><span>the other</span></div>
</fieldset>
<fieldset disabled class="card"><h2>The time <span class="formula">r</span></h2><p><span class="formula">r = <span class="upright">0</span></span> asks where the noise's trajectory ends: one picture. <span class="formula">r = <span class="upright">1</span></span> asks for the average of all pictures that the noise may stand for.</p>
${slider({ name: "r", label: "Time r", max: 1, step: 0.01, value: 0 })}
<div class="strip" id="strip-r" role="group" aria-label="Steps of r"></div><div class="ends"><span>r = 0</span><span>r = 1</span></div>
</fieldset>
</div>
</div>
<section class="card gallery"><h2>Gallery</h2><p>Drawn beforehand with noise 0, ${gallery.columns} pictures of each class.</p>
<img src="${gallery.address}" width="${gallery.width}" height="${gallery.height}" alt="${escapeHtml(`A row of ${gallery.columns} generated pictures of each class: ${classNames.join(", ")}.`)}">
</section>
</main>
<footer><p>Made with CrossFlow: one-step generation across latent and pixel space (<a href="https://arxiv.org/abs/2606.19970">arXiv 2606.19970</a>; an independent implementation). ${escapeHtml(credit)}</p></footer>
<script type="application/json" id="model">${scriptJson(model)}</script>
<script type="text/plain" id="worker">${packed.worker}</script>
<script type="text/plain" id="program">${packed.program}</script>
<script type="text/plain" id="weights">${packed.weights}</script>
<script>${bundle.main}</script>
</body>
</html>
`;
}
