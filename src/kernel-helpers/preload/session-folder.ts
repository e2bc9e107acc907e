import { relative, isAbsolute } from "node:path";
import { projectRoot } from "../../model/files";
import type { Tslab } from "./tslab";

/** Where a notebook's relative paths start, and where the project is. */
export interface SessionFolder {
  project: string;
  session: string;
  install(tslab: Tslab): void;
}

/**
 * Defect: tslab starts whichever tslab lies nearest above the notebook, and a notebook in a sub-folder sees other relative
 * paths than the command line does.
 *
 * Mend: the process looks for tslab from the project's folder. Then a notebook inside the project works in the project's
 * folder, as the commands do; any other notebook works in its own folder.
 */
export function enterSessionFolder(): SessionFolder {
  const project = projectRoot(__dirname);
  const started = process.cwd();
  const session = contains(project, started) ? project : started;
  process.chdir(project);
  return {
    project,
    session,
    install({ converter }) {
      const { createConverter } = converter;
      // tslab asks for the working folder when it makes its converter, just after it has chosen which tslab to run.
      converter.createConverter = (options) => {
        process.chdir(session);
        return createConverter(options);
      };
    },
  };
}

/** Whether `path` is `folder` or lies in it. */
export function contains(folder: string, path: string): boolean {
  const steps = relative(folder, path);
  return steps === "" || !(steps === ".." || /^\.\.[\\/]/.test(steps) || isAbsolute(steps));
}
