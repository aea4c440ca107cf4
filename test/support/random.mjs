/**
 * Random numbers that are the same for the same seed (Tommy Ettinger's public-domain mulberry32).
 * @param {number} seed 32 bits. @returns {() => number} from 0 to 1
 */
export function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
