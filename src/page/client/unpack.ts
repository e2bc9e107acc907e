/** Reads what the page carries in an element: bytes, compressed by gzip, as base64. */
export async function unpack(id: string): Promise<ArrayBuffer> {
  const text = atob((document.getElementById(id)?.textContent ?? "").trim());
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}
