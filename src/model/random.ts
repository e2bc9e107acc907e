/** A named, seeded source of random numbers; the same seed and name give the same numbers on every machine. */
export interface RandomStream {
  /** `count` numbers, uniform in [0, 1). */
  uniform(count: number): Float32Array;
  /** `count` numbers of the standard normal distribution. */
  normal(count: number): Float32Array;
  /** `count` whole numbers, uniform in [0, bound). */
  integers(count: number, bound: number): Int32Array;
  /** The numbers 0 to count - 1 in random order (Fisher-Yates). */
  permutation(count: number): Int32Array;
  /** The stream's position, to be stored in a checkpoint. */
  state(): string;
  /** Puts the stream back to a position that state() gave. @throws Error when the text is no such position */
  restore(state: string): void;
}

/** FNV-1a, 32 bits (Fowler, Noll, Vo): spreads a stream's name over its seed. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** SplitMix32: turns one seed into the generator's first state. */
function splitMix32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

const rotateLeft = (value: number, bits: number): number => ((value << bits) | (value >>> (32 - bits))) >>> 0;

/**
 * Opens the stream `name` of a seed: xoshiro128** (Blackman and Vigna, 2018), normals by Box and Muller's method.
 * @param seed whole number, 0 to 2^32 - 1
 * @param name what the numbers are for ("noise", "times", "weights"): streams of different names are independent
 * @throws RangeError when the seed is no such number
 */
export function randomStream(seed: number, name: string): RandomStream {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) throw new RangeError(`seed must be a whole number from 0 to 4294967295, not ${seed}`);
  const mix = splitMix32(seed ^ hashName(name));
  let words = Uint32Array.from([mix(), mix(), mix(), mix()]);

  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(words[1], 5) >>> 0, 7), 9) >>> 0;
    const shifted = (words[1] << 9) >>> 0;
    words[2] ^= words[0];
    words[3] ^= words[1];
    words[1] ^= words[2];
    words[0] ^= words[3];
    words[2] ^= shifted;
    words[3] = rotateLeft(words[3], 11);
    return result;
  };
  const fraction = (): number => (next() >>> 8) / 0x1000000;

  return {
    uniform: (count) => Float32Array.from({ length: count }, fraction),
    normal(count) {
      const values = new Float32Array(count);
      for (let index = 0; index < count; index += 2) {
        const radius = Math.sqrt(-2 * Math.log(1 - fraction()));
        const angle = 2 * Math.PI * fraction();
        values[index] = radius * Math.cos(angle);
        if (index + 1 < count) values[index + 1] = radius * Math.sin(angle);
      }
      return values;
    },
    integers: (count, bound) => Int32Array.from({ length: count }, () => Math.floor((next() / 0x100000000) * bound)),
    permutation(count) {
      const order = Int32Array.from({ length: count }, (_, index) => index);
      for (let last = count - 1; last > 0; last--) {
        const pick = Math.floor((next() / 0x100000000) * (last + 1));
        [order[last], order[pick]] = [order[pick], order[last]];
      }
      return order;
    },
    state: () => Array.from(words, (word) => word.toString(16).padStart(8, "0")).join(""),
    restore(state) {
      if (!/^[0-9a-f]{32}$/.test(state)) throw new Error(`"${state}" is no position of a random stream: expected 32 hexadecimal digits`);
      words = Uint32Array.from(state.match(/.{8}/g)!, (word) => parseInt(word, 16));
    },
  };
}
