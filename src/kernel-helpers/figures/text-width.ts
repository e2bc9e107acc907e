/**
 * Widths of characters in DejaVu Sans, the widest of the usual sans-serif fonts, in shares of the font's size; a text that
 * fits by these fits in the others too.
 */
const widths: readonly [characters: string, width: number][] = [
  ["ijlI|!':;,. ", 0.33],
  ["ftr()[]/\\-", 0.41],
  ["mwMW@%", 0.97],
  ["ABCDEFGHKLNOPQRSTUVXYZ+=<>~_", 0.8],
];
const widthOf = new Map(widths.flatMap(([characters, width]) => [...characters].map((character) => [character, width] as const)));
const usualWidth = 0.64;
/** From here on, mostly scripts whose characters fill a square. */
const squareCharacters = 0x2e80;

/** About how many pixels wide a text is, rather too many than too few. */
export function textWidth(text: string, fontSize: number): number {
  let width = 0;
  for (const character of text) width += widthOf.get(character) ?? ((character.codePointAt(0) ?? 0) >= squareCharacters ? 1 : usualWidth);
  return width * fontSize;
}
