import type { Evaluation, FeatureMeasure } from "./evaluate";
import { markedValue } from "./independence";

/** A measure as it is shown. */
export interface EvaluationRow extends Record<string, string> {
  measure: string;
  /** With its mark where it is not independent. */
  value: string;
  "95 % interval": string;
  /** What is best. */
  best: string;
}

type Shown = { name: Exclude<FeatureMeasure, "inceptionScore" | "lpipsDiversity">; title: string; digits: number; best: string };

const SHOWN: readonly Shown[] = [
  { name: "frechetDistance", title: "Frechet distance", digits: 2, best: "0" },
  { name: "kernelDistance", title: "kernel distance", digits: 4, best: "0" },
  { name: "precision", title: "precision", digits: 3, best: "1" },
  { name: "recall", title: "recall", digits: 3, best: "1" },
  { name: "density", title: "density", digits: 3, best: "about 1" },
  { name: "coverage", title: "coverage", digits: 3, best: "1" },
];

/** Classes that a row names, those furthest from the data first. */
const SHOWN_CLASSES = 8;

/**
 * The measures of an evaluation as rows of a table, each with its interval, and marked where a loss used the network that it is measured in. With
 * Inception's features the Frechet and kernel distances are FID and KID.
 */
export function evaluationTable(result: Evaluation): EvaluationRow[] {
  const inception = result.features === "inception-fid";
  const titleOf = ({ name, title }: Shown): string => (!inception ? title : name === "frechetDistance" ? "FID" : name === "kernelDistance" ? "KID" : title);
  const range = (ends: readonly [number, number] | undefined, digits: number): string => (ends ? `${ends[0].toFixed(digits)} to ${ends[1].toFixed(digits)}` : "-");
  const { inceptionScore, classAccuracy, lpipsDiversity } = result;
  const rows = SHOWN.flatMap((shown): EvaluationRow[] => {
    const interval = result.intervals[shown.name];
    const row = { measure: titleOf(shown), value: marked(result, shown.name, result[shown.name].toFixed(shown.digits)), "95 % interval": range(interval, shown.digits), best: shown.best };
    const byClass = shown.name === "kernelDistance" ? distancesByClass(result) : undefined;
    return byClass === undefined ? [row] : [row, { measure: `${row.measure} by class`, value: marked(result, shown.name, byClass), "95 % interval": "-", best: shown.best }];
  });
  if (inceptionScore) rows.push({ measure: "Inception score", value: marked(result, "inceptionScore", inceptionScore.value.toFixed(2)), "95 % interval": "-", best: `high; deviation over splits ${inceptionScore.standardDeviation.toFixed(2)}` });
  if (lpipsDiversity) rows.push({ measure: "LPIPS diversity", value: marked(result, "lpipsDiversity", lpipsDiversity.value.toFixed(3)), "95 % interval": range([lpipsDiversity.low, lpipsDiversity.high], 3), best: "that of the data" });
  if (classAccuracy) rows.push({ measure: "class accuracy", value: percent(classAccuracy.value), "95 % interval": `${percent(classAccuracy.low)} to ${percent(classAccuracy.high)}`, best: "100 %" });
  const { generated, reference } = result.surface;
  const { format } = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  for (const [measure, key] of [["seams between patches of 8", "seams"], ["flat areas, share", "flat"], ["soft edges, share", "softEdges"]] as const) {
    const [value, best] = [generated[key], reference[key]].map((number) => (number === undefined ? "-" : format(number)));
    rows.push({ measure, value, "95 % interval": "-", best: `${best}, the data's` });
  }
  return rows;
}

/** The kernel distances of the classes in a line, furthest from the data first; undefined where there are no two. */
function distancesByClass({ classDistances = [] }: Evaluation): string | undefined {
  if (classDistances.length < 2) return undefined;
  // Inception's kernel distances are thousandths, others' are hundreds.
  const { format } = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const furthest = [...classDistances].sort((first, second) => second.kernelDistance - first.kernelDistance).slice(0, SHOWN_CLASSES);
  const line = furthest.map(({ className, kernelDistance }) => `${className} ${format(kernelDistance)}`).join(", ");
  return furthest.length < classDistances.length ? `${line}, ... (${classDistances.length} classes)` : line;
}

/** What an evaluation depends on, in a line: without it its numbers can not be compared. */
export function evaluationCaption({ count, seed, referenceCount, reference, dataset, split, features, resize }: Evaluation): string {
  const saved = reference ? `, the Frechet distance to saved statistics of ${reference.count} images of ${reference.about.dataset ?? "an unnamed set"} (${reference.about.split ?? "unnamed split"})` : "";
  return `${count} samples, seed ${seed}, against ${referenceCount} images of ${dataset} (${split})${saved}; features: ${features}, ${resize}`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

const marked = ({ notIndependent }: Evaluation, name: FeatureMeasure, value: string): string => markedValue(value, !notIndependent.includes(name));
