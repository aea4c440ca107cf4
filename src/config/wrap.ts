/** Breaks a text between words into lines of at most `columns`, each begun with `indent` spaces. */
export function wrap(text: string, { columns, indent }: { columns: number; indent: number }): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent + line.length + 1 + word.length > columns) {
      lines.push(' '.repeat(indent) + line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return line === '' ? lines : [...lines, ' '.repeat(indent) + line];
}
