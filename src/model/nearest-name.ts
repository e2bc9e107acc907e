/** How many names a message offers at most. */
const MAX_SUGGESTIONS = 3;

/**
 * The candidates that a mistyped name most probably meant, nearest first.
 *
 * A candidate counts as near if a third of the longer name's letters, or fewer, have to change (at least one may), or if
 * one of the two contains the other; case doesn't matter.
 *
 * @returns at most three names; none if nothing is near
 */
export function nearestNames(name: string, candidates: Iterable<string>): string[] {
  const wanted = name.toLowerCase();
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, distance: nameDistance(wanted, candidate.toLowerCase()) }))
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ candidate }) => candidate);
}

/**
 * "Unknown dataset "cifr10". Did you mean cifar10?", or with every candidate listed where none is near.
 *
 * @param kind what the name should have named, e.g. "dataset"
 */
export function unknownNameMessage(kind: string, name: string, candidates: Iterable<string>): string {
  const known = [...candidates];
  const near = nearestNames(name, known);
  const hint = near.length > 0 ? `Did you mean ${near.join(" or ")}?` : `Known: ${known.join(", ")}.`;
  return `Unknown ${kind} ${JSON.stringify(name)}. ${hint}`;
}

function nameDistance(a: string, b: string): number {
  const distance = editDistance(a, b);
  const longest = Math.max(a.length, b.length);
  if (distance <= Math.max(1, Math.floor(longest / 3))) return distance;
  const shortest = Math.min(a.length, b.length);
  return shortest >= 2 && (a.includes(b) || b.includes(a)) ? distance : Infinity;
}

/**
 * Levenshtein distance: the fewest insertions, deletions and replacements of one letter that turn `a` into `b`
 * (V. I. Levenshtein, 1966), by the usual table of prefixes kept one row at a time.
 */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
