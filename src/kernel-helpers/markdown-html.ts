import { escapeHtml } from "./html";

/** Pictures that a Markdown cell carries: base64 data by file name and MIME type. */
export type Attachments = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface MarkdownOptions {
  attachments?: Attachments;
}

/** Renders Markdown, with equations between dollar signs, to HTML that holds no scripts. */
export type MarkdownRenderer = (markdown: string, options?: MarkdownOptions) => string;

/** Tags that may stand in Markdown as they are, without attributes (but <details open>). */
const plainTag = /^<(?:\/?(?:b|br|code|details|div|em|hr|i|kbd|mark|p|small|strong|sub|summary|sup)|details open)\s*\/?>$/i;
const scriptElement = /<(script|style)\b[^]*?<\/\1\s*>/gi;
const comment = /<!--[^]*?-->/g;
const tag = /<[^<>]*>/g;

/**
 * Makes a renderer. Equations become MathML, which browsers show without fonts or styles of their own; of raw HTML only
 * tags that do nothing but set text pass.
 */
export async function createMarkdownRenderer(): Promise<MarkdownRenderer> {
  const { Marked } = await import("marked");
  const { default: markedKatex } = await import("marked-katex-extension");
  return (markdown, { attachments = {} } = {}) => {
    const marked = new Marked({ gfm: true });
    marked.use(markedKatex({ output: "mathml", throwOnError: false, nonStandard: true }));
    marked.use({
      renderer: {
        html: ({ text }) => plainHtml(text),
        heading({ tokens, depth, text }) {
          return `<h${depth} id="${escapeHtml(text.replace(/\s+/g, "-"))}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
        },
        link({ href, title, tokens }) {
          const text = this.parser.parseInline(tokens);
          return isSafeLink(href) ? `<a href="${escapeHtml(href)}"${title ? ` title="${escapeHtml(title)}"` : ""}>${text}</a>` : text;
        },
        image({ href, text }) {
          const source = imageSource(href, attachments);
          return source === undefined ? escapeHtml(text) : `<img src="${escapeHtml(source)}" alt="${escapeHtml(text)}">`;
        },
      },
    });
    return marked.parse(markdown, { async: false });
  };
}

function plainHtml(html: string): string {
  const withoutCode = html.replace(scriptElement, "").replace(comment, "");
  let result = "";
  let end = 0;
  for (const match of withoutCode.matchAll(tag)) {
    result += escapeHtml(withoutCode.slice(end, match.index)) + (plainTag.test(match[0]) ? match[0] : escapeHtml(match[0]));
    end = match.index + match[0].length;
  }
  return result + escapeHtml(withoutCode.slice(end));
}

/** Links to the web, to mail addresses and within the page or its folder; nothing that runs. */
function isSafeLink(href: string): boolean {
  return /^(?:https?:|mailto:|[^:]*$|[#./][^]*$)/i.test(href.trim());
}

function imageSource(href: string, attachments: Attachments): string | undefined {
  const name = /^attachment:(.+)$/.exec(href)?.[1];
  if (name !== undefined) {
    const [picture] = Object.entries(attachments[decodeURIComponent(name)] ?? {});
    return picture && `data:${picture[0]};base64,${picture[1]}`;
  }
  return isSafeLink(href) || /^data:image\/(?:png|jpeg|gif|webp|svg\+xml)[;,]/i.test(href) ? href : undefined;
}
