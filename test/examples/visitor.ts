/** A visitor of a web site as far as forms, cookies and links go. */

/** An answer that has been read to its end. */
export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly text: string;
}

export class Visitor {
  readonly #base: string;
  readonly #cookies = new Map<string, string>();

  /** @param base `http://127.0.0.1:4711` */
  constructor(base: string) {
    this.#base = base;
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Page> {
    return this.#fetch(path, { headers });
  }

  /** Sends a form: URL-encoded, or multipart when it is FormData. Redirects are not followed. */
  post(path: string, form: FormData | URLSearchParams): Promise<Page> {
    return this.#fetch(path, { method: 'POST', body: form });
  }

  /** The value of a cookie, as last set. */
  cookie(name: string): string | undefined {
    return this.#cookies.get(name);
  }

  async #fetch(path: string, init: RequestInit): Promise<Page> {
    const headers = new Headers(init.headers);
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`);
    if (cookies.length > 0) headers.set('cookie', cookies.join('; '));
    const response = await fetch(new URL(path, this.#base), { ...init, headers, redirect: 'manual' });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.#cookies.set(name, value);
    }
    const body = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body, text: body.toString() };
  }
}

/** Every address of this site that a page (HTML or CSS) at `path` makes a browser load. */
export function linked(page: Page, path: string): string[] {
  const isCss = page.headers.get('content-type')?.startsWith('text/css') ?? false;
  const pattern = isCss
    ? /url\(["']?([^"')]+)["']?\)/g
    : /<(?:link|script|img)\b[^>]*?\b(?:href|src)="([^"]+)"/g;
  const found = [...page.text.matchAll(pattern)].map((match) => match[1] ?? '');
  const paths = found
    .filter((url) => !/^(data:|https?:|#)/.test(url))
    .map((url) => new URL(url, `http://site${path}`).pathname);
  return [...new Set(paths)];
}
