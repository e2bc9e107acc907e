/** A C++17 compiler and how it is called. */
export interface Compiler {
  /** Its name for people. */
  name: string;
  /** Program and its first arguments. */
  command: readonly [program: string, ...prefix: string[]];
}

/** The compiler that is fetched from PyPI where the machine has none; named by its package. */
export const PORTABLE_COMPILER = "ziglang==0.17.1";

export interface CompilerSearch {
  platform: NodeJS.Platform;
  /** Whether a program starts and says its version. */
  works: (program: string) => Promise<boolean>;
  /** The user's choice, as build tools read it. */
  environment: { CXX?: string };
}

/**
 * The C++ compilers of this machine, in the order in which they are tried: the one named by the variable CXX, then the
 * platform's own.
 *
 * @returns an empty list if there is none: then the portable compiler is fetched
 */
export async function findCompilers({ platform, works, environment }: CompilerSearch): Promise<Compiler[]> {
  const usual = platform === "darwin" ? ["clang++", "g++"] : ["g++", "clang++", "c++"];
  const programs = environment.CXX ? [environment.CXX, ...usual] : usual;
  const compilers: Compiler[] = [];
  for (const program of new Set(programs)) {
    if (await works(program)) compilers.push({ name: program, command: [program] });
  }
  return compilers;
}
