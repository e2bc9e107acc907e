import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { escapeHtml, scriptJson } from "./html";
import { createMarkdownRenderer, type MarkdownRenderer } from "./markdown-html";
import { joinLines, type Notebook, type NotebookCell, type StoredOutput } from "./notebook";
import { stripAnsi } from "./ansi";

export interface NotebookHtmlOptions {
  /** The page's title. Default: the notebook's first heading. */
  title?: string;
}

/**
 * An executed notebook as one HTML page that needs no network: text, equations, code, outputs, and figures that can be
 * zoomed. Plotly is in it once, if there is a figure at all.
 *
 * All of the notebook's text is escaped; no script but the page's own two runs in it.
 */
export async function notebookToHtml(notebook: Notebook, options: NotebookHtmlOptions = {}): Promise<string> {
  const title = options.title ?? firstHeading(notebook) ?? "Notebook";
  const markdown = await createMarkdownRenderer();
  const figures = { count: 0 };
  const body = notebook.cells.map((cell) => renderCell(cell, markdown, figures)).join("\n");
  const scripts = figures.count > 0 ? [await plotlySource(), drawFigures] : [];
  const hashes = scripts.map((script) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`);
  const policy = `default-src 'none'; img-src data: blob: https: 'self'; style-src 'unsafe-inline'; script-src ${hashes.join(" ") || "'none'"}; form-action 'none'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${body}
</main>
${scripts.map((script) => `<script>${script}</script>`).join("\n")}
</body>
</html>
`;
}

function renderCell(cell: NotebookCell, markdown: MarkdownRenderer, figures: { count: number }): string {
  const source = joinLines(cell.source);
  if (cell.cell_type === "markdown") return `<section class="text">${markdown(source, { attachments: cell.attachments })}</section>`;
  if (cell.cell_type !== "code") return "";
  const prompt = cell.execution_count == null ? "[ ]" : `[${cell.execution_count}]`;
  const code = source.trim() && `<pre class="code" tabindex="0" role="group" aria-label="Cell ${prompt}"><code>${escapeHtml(source)}</code></pre>`;
  const outputs = (cell.outputs ?? []).map((output) => renderOutput(output, markdown, figures));
  return `<section class="cell"><div class="prompt">${prompt}</div><div>${code}${outputs.join("")}</div></section>`;
}

function renderOutput(output: StoredOutput, markdown: MarkdownRenderer, figures: { count: number }): string {
  switch (output.output_type) {
    case "stream":
      return `<pre tabindex="0" class="${output.name === "stderr" ? "stderr" : "stdout"}">${escapeHtml(stripAnsi(textOf(output.text)))}</pre>`;
    case "error":
      return `<pre tabindex="0" class="error">${escapeHtml(stripAnsi((output.traceback as string[]).join("\n")))}</pre>`;
    default:
      return `<div class="output">${renderBundle(output.data as Record<string, unknown>, markdown, figures)}</div>`;
  }
}

/** The form of a display that says most on a page of its own; HTML comes last, as it may hold anything. */
function renderBundle(data: Readonly<Record<string, unknown>>, markdown: MarkdownRenderer, figures: { count: number }): string {
  const description = textOf(data["text/plain"]);
  const picture = ["image/png", "image/jpeg", "image/gif"].find((type) => type in data);
  const image = picture && `<img src="data:${picture};base64,${escapeHtml(textOf(data[picture]).replace(/\s/g, ""))}" alt="${escapeHtml(description)}">`;
  const figure = data["application/vnd.plotly.v1+json"];
  if (figure !== undefined) {
    figures.count++;
    return `<div class="figure" role="figure" aria-label="${escapeHtml(description)}"><script type="application/json">${scriptJson(figure)}</script><noscript>${image ?? ""}</noscript></div>`;
  }
  if (image) return image;
  const svg = data["image/svg+xml"];
  // As an image's source a drawing can't run scripts.
  if (svg !== undefined) return `<img src="data:image/svg+xml;base64,${Buffer.from(textOf(svg)).toString("base64")}" alt="${escapeHtml(description)}">`;
  if ("text/markdown" in data) return markdown(textOf(data["text/markdown"]));
  if ("text/latex" in data) return markdown(textOf(data["text/latex"]));
  if ("text/plain" in data) return `<pre tabindex="0">${escapeHtml(stripAnsi(description))}</pre>`;
  if ("text/html" in data) return `<iframe sandbox="" srcdoc="${escapeHtml(textOf(data["text/html"]))}"></iframe>`;
  return `<pre tabindex="0">${escapeHtml(`(a display of type ${Object.keys(data).join(", ")})`)}</pre>`;
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return joinLines(value.map(String));
  return typeof value === "string" ? value : "";
}

function firstHeading({ cells }: Notebook): string | undefined {
  for (const { cell_type, source } of cells) {
    const heading = cell_type === "markdown" && /^#+\s+(.+)$/m.exec(joinLines(source));
    if (heading) return heading[1].replace(/[*_`$]/g, "").trim();
  }
  return undefined;
}

async function plotlySource(): Promise<string> {
  const source = await readFile(require.resolve("plotly.js-dist-min/plotly.min.js"), "utf8");
  // The text must not end the element that it stands in.
  return source.replace(/<\/(?=script)/gi, "<\\/");
}

const drawFigures = `
for (const element of document.querySelectorAll(".figure")) {
  const { data, layout, config } = JSON.parse(element.querySelector("script").textContent);
  Plotly.newPlot(element, data, layout, { ...config, displaylogo: false });
}
`;

const style = `
body { margin: 0; background: #ffffff; color: #1b1b1b; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
img, svg, .figure { max-width: 100%; }
.text { margin-left: 3.5rem; }
.cell { display: grid; grid-template-columns: 3rem minmax(0, 1fr); gap: 0.5rem; margin: 1rem 0; }
.prompt { color: #5a5a5a; font: 12px/2.2 monospace; text-align: right; }
pre { margin: 0 0 0.5rem; padding: 0.5rem 0.75rem; overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; }
.code { background: #f5f5f5; border: 1px solid #dddddd; border-radius: 4px; }
.stderr { background: #fff4e5; }
.error { background: #fdecea; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid #dddddd; }
iframe { width: 100%; border: 0; }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid #cccccc; }
@media (max-width: 40rem) { .cell { display: block; } .text { margin-left: 0; } .prompt { text-align: left; } }
`;
