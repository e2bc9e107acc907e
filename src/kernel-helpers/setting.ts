/** FAST: a demonstration of minutes; FULL: trainings that are long enough to judge. */
export type Setting = "FAST" | "FULL";

/**
 * The one switch between short and long runs in all notebooks: `npm start -- --full`, or the variable CROSSFLOW_SETTING.
 * @throws Error for any other word
 */
export function currentSetting(environment: NodeJS.ProcessEnv = process.env): Setting {
  const word = environment.CROSSFLOW_SETTING || "FAST";
  if (word !== "FAST" && word !== "FULL") throw new Error(`CROSSFLOW_SETTING must be FAST or FULL, not "${word}"`);
  return word;
}

/** The choice that the switch means. */
export function bySetting<Choice>(choices: Readonly<Record<Setting, Choice>>): Choice {
  return choices[currentSetting()];
}
