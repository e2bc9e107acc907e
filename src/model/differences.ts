/**
 * What two configurations differ in, as errors list it: "width (128 there, 192 here), head ("linear" there, "convolution" here)"; empty where they agree.
 * @param keys those that count
 */
export function differences<Config extends object>(there: Config, here: Config, keys: readonly (keyof Config & string)[]): string {
  const [before, now] = [there, here].map((config) => (key: keyof Config): string | undefined => JSON.stringify(config[key]));
  return keys.filter((key) => before(key) !== now(key)).map((key) => `${key} (${before(key)} there, ${now(key)} here)`).join(", ");
}
