import { existsSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { Command } from "commander";
import { joinLines, readNotebook, writeNotebook, type Notebook, type NotebookCell } from "../kernel-helpers/notebook";
import { readEvents, sectionRows } from "../kernel-helpers/workshop-times";
import { projectRoot } from "../model/files";
import { timestamp } from "./headless";
import { openLab } from "./lab";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable } from "./output";

interface WorkshopFlags {
  participant: string;
  reset?: boolean;
  lab: boolean;
  times?: boolean;
  json?: boolean;
}

/** A copy of the notebooks for one participant. */
export interface WorkshopCopy {
  folder: string;
  /** Where sections and exercises are noted. */
  log: string;
  /** Whether it was made now; else it was there. */
  fresh: boolean;
}

export function workshopCommand(): Command {
  const command = new Command("workshop")
    .description("a clean copy of the notebooks for a participant, with each section timed; opens JupyterLab on it")
    .argument("[arguments...]", "go to Jupyter, e.g. --no-browser --port=8889")
    .option("--participant <name>", "whose copy", "participant")
    .option("--reset", "put the copy aside and make a fresh one")
    .option("--no-lab", "only make the copy")
    .option("--times", "only show how long each section took and what was solved")
    .allowUnknownOption();
  addJsonOption(command).action(async (further: string[], flags: WorkshopFlags) => {
    const folder = participantFolder(flags.participant);
    if (flags.times) return showTimes(folder, flags.json);
    const copy = await prepareCopy(folder, { reset: flags.reset });
    // Whoever reads JSON waits for its end, which JupyterLab's would be.
    if (flags.json) return console.log(JSON.stringify({ ok: true, ...copy }, null, 2));
    console.log(copy.fresh ? `A clean copy for ${flags.participant}: ${folder}` : `The copy that ${flags.participant} began: ${folder} (--reset makes a fresh one and keeps this)`);
    if (flags.lab) await openLab(folder, further, { CROSSFLOW_WORKSHOP_LOG: copy.log });
  });
  return addExamples(command, ["workshop", "workshop --participant ada", "workshop --participant ada --reset", "workshop --participant ada --times"]);
}

/** @throws CommandError (wrong usage) for a name that can't be a folder's */
function participantFolder(participant: string): string {
  if (!/^[\w][\w.-]*$/.test(participant)) throw new CommandError(`A participant's name has letters, digits, ".", "-" and "_", not ${participant}.`, EXIT.usage);
  return join(projectRoot(), "workshop", participant);
}

/**
 * Makes a participant's copy, or leaves the one that is there. On `reset` the old copy is moved aside: nothing is lost.
 * @param source the folder of the notebooks and their solutions
 */
export async function prepareCopy(folder: string, { reset = false, source = join(projectRoot(), "notebooks") } = {}): Promise<WorkshopCopy> {
  const log = join(folder, "times.jsonl");
  if (existsSync(folder)) {
    if (!reset) return { folder, log, fresh: false };
    await rename(folder, `${folder}.${timestamp(new Date())}-${process.pid}`);
  }
  for (const part of ["", "solutions"]) {
    await mkdir(join(folder, part), { recursive: true });
    for (const name of (await readdir(join(source, part))).filter((file) => file.endsWith(".ipynb"))) {
      await writeNotebook(join(folder, part, name), participantNotebook(await readNotebook(join(source, part, name)), basename(name, ".ipynb")));
    }
  }
  return { folder, log, fresh: true };
}

/** A notebook without outputs, with a cell that notes the time below each heading that the plan gives minutes to, and a last one that shows them. */
export function participantNotebook(notebook: Notebook, name: string): Notebook {
  const cells = notebook.cells.flatMap((cell, index): NotebookCell[] => {
    const clean: NotebookCell = cell.cell_type === "code" ? { ...cell, outputs: [], execution_count: null } : cell;
    const minutes = cell.metadata.minutes;
    if (typeof minutes !== "number") return [clean];
    const heading = joinLines(cell.source).split("\n")[0].replace(/^#+\s*/, "");
    return [clean, codeCell(`section-${index}`, `import { section } from "crossflow/kernel";\nsection(${JSON.stringify(`${name}: ${heading}`)}, ${minutes});`)];
  });
  const isTimed = cells.some(({ metadata }) => "minutes" in metadata);
  return { ...notebook, cells: isTimed ? [...cells, codeCell("times", `import { showSectionTimes } from "crossflow/kernel";\nshowSectionTimes();`)] : cells };
}

function codeCell(id: string, source: string): NotebookCell {
  return { id, cell_type: "code", source, metadata: { tags: ["workshop"] }, outputs: [], execution_count: null } as NotebookCell;
}

function showTimes(folder: string, json = false): void {
  const rows = sectionRows(readEvents(join(folder, "times.jsonl")));
  if (rows.length === 0) throw new CommandError(`No section has been begun in ${folder}.`);
  if (json) return console.log(JSON.stringify({ ok: true, sections: rows }, null, 2));
  console.log(formatTable([["section", "plan", "took", "solved"], ...rows.map(({ section, plan, took, solved }) => [section, plan, took, String(solved)])]));
}
