/** `1 worker`, `2 workers`, `0 requests waiting`. `rest` is what follows the noun. */
export function count(number: number, noun: string, rest = ''): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}${rest === '' ? '' : ` ${rest}`}`;
}
