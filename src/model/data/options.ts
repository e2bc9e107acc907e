/**
 * Options over their defaults; an option that is undefined takes its default too.
 */
export function withDefaults<Defaults extends object, Options extends object>(defaults: Defaults, options: Options): Defaults & Options {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...defaults, ...given } as Defaults & Options;
}

/**
 * Checks an image size given by the user.
 *
 * @throws RangeError if it isn't a whole number from 1 to 4096
 */
export function checkImageSize(imageSize: number): void {
  if (!Number.isInteger(imageSize) || imageSize < 1 || imageSize > 4096) throw new RangeError(`imageSize must be a whole number of pixels from 1 to 4096, got ${imageSize}.`);
}

/**
 * Checks a number of images given by the user.
 *
 * @throws RangeError if it isn't a whole number, or is less than `least`
 */
export function checkImageCount(option: string, count: number, least = 0): void {
  if (!Number.isSafeInteger(count) || count < least) throw new RangeError(`${option} must be a whole number of images, at least ${least}, got ${count}.`);
}
