/** The forms that browsers send (HTML, "Form submission"; RFC 7578), by the parser that `fetch` has. */

const FORM = /^\s*(multipart\/form-data|application\/x-www-form-urlencoded)\s*(?:;|$)/i;

/**
 * The fields and files of a form, all in memory.
 * @param body gives the bytes; it is asked only when the Content-Type is that of a form.
 * @throws {TypeError} for another Content-Type, and for a body that is not what it says.
 */
export async function parseForm(contentType: string, body: () => Promise<Uint8Array>): Promise<FormData> {
  const type = FORM.exec(contentType)?.[1]?.toLowerCase();
  if (type === undefined) throw new TypeError(notForm(contentType));
  const bytes = await body();
  try {
    return await new Response(bytes, { headers: { 'Content-Type': contentType } }).formData();
  } catch (error) {
    throw new TypeError(broken(type, contentType), { cause: error });
  }
}

function notForm(contentType: string): string {
  const found = contentType === '' ? 'The request has no Content-Type' : `The Content-Type is ${contentType}`;
  return `${found}: formData() reads multipart/form-data and application/x-www-form-urlencoded only. Use json(), text() or read().`;
}

function broken(type: string, contentType: string): string {
  if (type.startsWith('multipart') && !/;\s*boundary=/i.test(contentType)) {
    return `The Content-Type ${contentType} names no boundary, so the parts of the form cannot be told apart (RFC 7578 §4.1).`;
  }
  return `The request body is not the ${type} that its Content-Type says, or it breaks off (RFC 7578).`;
}
