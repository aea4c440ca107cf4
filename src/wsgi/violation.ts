/** Sections of PEP 3333 that the validator speaks for. */
export const SECTIONS = {
  application: 'The Application/Framework Side',
  environ: 'environ Variables',
  streams: 'Input and Error Streams',
  details: 'Specification Details',
  start: 'The start_response() Callable',
  length: 'Handling the Content-Length Header',
  streaming: 'Buffering and Streaming',
  write: 'The write() Callable',
  unicode: 'Unicode Issues',
  errors: 'Error Handling',
  http: 'Other HTTP Features',
} as const;

/** A rule of WSGI was broken. The message says by whom, how, and what holds instead. */
export class WsgiViolation extends Error {
  override readonly name = 'WsgiViolation';
  /** Who broke it: whoever calls the application (a server, or middleware outside), or the application. */
  readonly side: 'server' | 'application';
  /** The section of PEP 3333 that has the rule. */
  readonly section: string;

  constructor(
    message: string,
    { side, section }: { readonly side: WsgiViolation['side']; readonly section: string },
  ) {
    super(`${message} (PEP 3333, "${section}"; broken by the ${side})`);
    this.side = side;
    this.section = section;
  }
}

type Side = WsgiViolation['side'];

/** What a check does when it finds something: `application.breaks('start', 'The status …')`. */
class Party {
  readonly #side: Side;

  constructor(side: Side) {
    this.#side = side;
  }

  /** @throws {WsgiViolation} always. */
  breaks(section: keyof typeof SECTIONS, message: string): never {
    throw new WsgiViolation(message, { side: this.#side, section: SECTIONS[section] });
  }
}

export const server: Party = new Party('server');
export const application: Party = new Party('application');

/** Takes what is odd, but no violation. */
export type Warn = (message: string) => void;
