import { HttpError } from '../errors.ts';
import { encodeFrame, FLAG, type Frame, KIND } from '../gateway/frames.ts';
import type { Lane, LaneJob, Loss } from '../gateway/lane.ts';
import type { Exchange, ResponseHead } from '../http/exchange.ts';
import { environHead } from '../wsgi/environ.ts';
import { splitEnviron } from './head-environ.ts';
import { Link } from './line.ts';
import type { NamedFile, NamedFiles } from './named-files.ts';
import { answerOffer, openOffer, type Refusal, readOffer } from './worker-file.ts';
import type { WorkerPeer } from './worker-peer.ts';

/** What a job tells the dispatcher, and asks it. */
export interface JobEvents {
  /** The client went while the request was waiting. */
  readonly onLeft: (job: Job) => void;
  /** Answers in which the application names a file; null when none is looked at. */
  readonly namedFiles: NamedFiles | null;
  /** It runs towards its deadline from now on, or from now on anew. */
  readonly watch: (job: Job) => void;
  /** It no longer does: it ended, or waits for the client and not for the application. */
  readonly unwatch: (job: Job) => void;
  /** Its answer comes in parts. */
  readonly onPart: (job: Job) => void;
  /** What the worker sent cannot be sent on. */
  readonly onInvalid: (job: Job, error: HttpError) => void;
  /** Its answer is a file, which is open here; or cannot be, and the worker is to answer once more. */
  readonly onFile: (job: Job, refusal: Refusal | null) => void;
  /** A line for the log. */
  readonly error: (message: string) => void;
  /** Its worker died before it said anything; `unread`: and before it had the request. @returns whether it is to run elsewhere. */
  readonly retry: (job: Job, unread: boolean) => boolean;
  /** The lane is free again, or gone. */
  readonly onEnd: (job: Job, lost: boolean) => void;
}

const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];

export interface Place {
  readonly id: number;
  readonly lane: Lane;
  readonly peer: WorkerPeer;
}

/** One request from the queue to the end of its answer. It owns the request: nobody else answers the client. */
export class Job implements LaneJob {
  readonly exchange: Exchange;
  readonly #events: JobEvents;
  #place: Place | null = null;
  #answered = false;
  /** What still comes from the worker is for nobody. */
  #dropped = false;
  #attempt = 1;
  /** It has failed to run in company once. */
  #alone = false;
  /** A file answers the client: the exchange is another's. */
  #handed = false;
  /** It has run: a worker that died without a word since then has seen it all the same. */
  #ran = false;
  /** The worker knows that nobody waits for the answer. */
  #abandoned = false;
  startedAt = 0;
  /** Its place in the queue, then among those that have a deadline. */
  readonly link = new Link<Job>(this);

  constructor(exchange: Exchange, events: JobEvents) {
    this.exchange = exchange;
    this.#events = events;
    exchange.waiting = true;
    exchange.onGone = () => (this.#place === null ? events.onLeft(this) : this.#abandon());
  }

  /** Where it runs; null while it waits. */
  get place(): Place | null {
    return this.#place;
  }

  /** Running it twice does what running it once does (RFC 9110 §9.2.1). */
  get isSafe(): boolean {
    return SAFE.includes(this.exchange.head.method);
  }

  /** It may travel with others: should their worker die, nobody has to know whether it ran. */
  get shares(): boolean {
    return !this.#alone && this.isSafe && this.exchange.body.length === 0;
  }

  get suspect(): boolean {
    return this.#attempt > 1;
  }

  /** 2 when its first worker died. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The client has its answer, or has gone: the rest is for nobody. */
  get dropped(): boolean {
    return this.#dropped;
  }

  /** How the request is called in the log. */
  get title(): string {
    return `${this.exchange.head.method} ${this.exchange.head.target}`;
  }

  start(place: Place): void {
    const { head, body, peer } = this.exchange;
    this.#place = place;
    this.startedAt = performance.now();
    this.exchange.waiting = false;
    this.exchange.trace = { pid: place.peer.pid, attempt: this.#attempt, environ: null };
    const environ = environHead({ head, peer, bodyLength: body.length });
    const frame = encodeFrame({
      kind: KIND.REQUEST,
      flags: body.file === null ? 0 : FLAG.SPOOLED,
      id: place.id,
      head: this.#attempt === 1 ? environ : `${environ}\0tunicorn.attempt\0${this.#attempt}`,
      body: body.file === null ? body.memory : Buffer.from(body.file.path),
    });
    place.lane.send(place.id, { job: this, frame });
  }

  onHead(): void {
    this.startedAt = performance.now();
    this.#events.watch(this);
  }

  onFrame(frame: Frame, done: boolean): void {
    if (!done && frame.kind === KIND.EARLY) return this.#hint(frame);
    if (frame.kind === KIND.FILE) return this.#onFile(frame);
    if (!this.#dropped) {
      const flowing = this.#relay(frame, done);
      if (!done) this.#pace(flowing);
    } else if (!done) this.#tellAbandoned();
    if (!done) this.#events.onPart(this);
    if (done) this.#end(false);
  }

  onLost({ error, unread }: Loss): void {
    // Who talks nonsense has been heard, and could do so again.
    const isUntouched = !this.#answered && !this.#dropped && error === null;
    if (isUntouched && this.#events.retry(this, unread && !this.#ran)) return;
    if (!this.#dropped) this.exchange.fail(new HttpError('worker-lost'));
    this.#end(true);
  }

  /** Back to where it was before it was started; `ran`: a worker may have begun with it. */
  rewind(ran: boolean): void {
    if (ran) this.#attempt++;
    this.#alone = true;
    this.#events.unwatch(this);
    this.#place = null;
    this.exchange.trace = null;
    this.exchange.waiting = true;
  }

  /** Ends the answer here; the worker may go on, but what it says is dropped. */
  fail(error: HttpError): void {
    this.#dropped = true;
    if (!this.#handed) this.exchange.fail(error);
    this.#place?.lane.resume(this);
  }

  /** The worker has a file open that is the rest of the answer, and is free: what is slow from here on is the client. */
  #onFile(frame: Frame): void {
    const { exchange, place } = this;
    const response = this.#responseHead(frame.head);
    const offer = readOffer(frame.body);
    const named = response === null ? null : (this.#events.namedFiles?.find(response) ?? null);
    if (this.#dropped) {
      // Nobody waits for it.
    } else if (this.#answered || response === null || offer === null) {
      this.#refuse(new HttpError('application-error', 'It sent no valid file.'));
    } else if (named !== null) {
      this.#sendNamed(named, true);
    } else {
      const opened = openOffer(place?.peer.pid ?? 0, offer);
      this.#ran = true;
      if (!('fd' in opened)) return this.#events.onFile(this, opened);
      this.#events.onFile(this, null);
      this.#end(false);
      const onFailure = (error: HttpError) => this.#events.onInvalid(this, error);
      return answerOffer(opened.fd, exchange, { response, offer, onFailure });
    }
    this.#events.onFile(this, null);
    this.#end(false);
  }

  #relay(frame: Frame, done: boolean): boolean {
    switch (frame.kind) {
      case KIND.RESPONSE:
        return this.#respond(frame, done);
      case KIND.BODY:
        if (!this.#answered)
          return this.#refuse(new HttpError('application-error', 'It sent a body before its head.'));
        return this.exchange.write(frame.body, done);
      default:
        this.exchange.fail(new HttpError('application-error', frame.head.replaceAll('\0', ' ')));
        return true;
    }
  }

  /** Hints are no part of the answer: what is promised until its first frame, deadline and retry, still holds. */
  #hint(frame: Frame): void {
    if (this.#dropped) return;
    const fields = frame.head === '' ? [] : frame.head.split('\0');
    if (this.#answered || fields.length % 2 !== 0) {
      this.#refuse(
        new HttpError('application-error', 'It sent no valid early hints, or sent them too late.'),
      );
      return;
    }
    try {
      this.exchange.hint(fields);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#refuse(error);
    }
  }

  #respond(frame: Frame, last: boolean): boolean {
    const response = this.#responseHead(frame.head);
    if (this.#answered || response === null) {
      return this.#refuse(new HttpError('application-error', 'It sent no valid head, or a second one.'));
    }
    this.#answered = true;
    const named = this.#events.namedFiles?.find(response) ?? null;
    if (named !== null) return this.#sendNamed(named, last);
    try {
      return this.exchange.respond(response, { body: frame.body, last });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      return this.#refuse(error);
    }
  }

  /** The application's body, if it has one, is for nobody. */
  #sendNamed(named: NamedFile, last: boolean): true {
    this.#handed = this.#dropped = true;
    this.exchange.onGone = null;
    const { title } = this;
    this.#events.namedFiles?.serve(named, this.exchange, { title, error: this.#events.error });
    if (!last) this.#tellAbandoned();
    return true;
  }

  #refuse(error: HttpError): true {
    this.#events.onInvalid(this, error);
    this.fail(error);
    return true;
  }

  #responseHead(head: string): ResponseHead | null {
    const fields = head.split('\0');
    const status = fields.shift();
    if (status === undefined || fields.length % 2 !== 0) return null;
    // A field's value may hold this too: then nothing is found among the names.
    if (!head.includes('\0:environ.')) return { status, fields };
    const [rest, environ] = splitEnviron(fields);
    this.exchange.trace = { pid: this.#place?.peer.pid ?? 0, attempt: this.#attempt, environ };
    return { status, fields: rest };
  }

  /** The deadline runs only while the application is what is waited for. */
  #pace(flowing: boolean): void {
    if (flowing || this.exchange.gone) return this.#events.watch(this);
    this.#events.unwatch(this);
    this.#place?.lane.pause(this);
    this.exchange.onDrain = () => {
      this.exchange.onDrain = null;
      this.#place?.lane.resume(this);
      this.#events.watch(this);
    };
  }

  #abandon(): void {
    this.#dropped = true;
    // A lane paused for this client would never tell that its worker died.
    this.#place?.lane.resume(this);
    // One that stands behind others has not begun, and is mostly over in a moment: not worth a signal.
    if (this.#place?.lane.isHead(this) !== true) return;
    // Before its first block the worker has nothing to leave out: that is not worth a signal either, which C code of the
    // application may take for an error. Where many run side by side there is no signal, and what is awaited can be given up.
    if (this.#answered || this.#place.lane.isParallel) this.#tellAbandoned();
    this.#events.watch(this);
  }

  #tellAbandoned(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    this.#place?.peer.abandon(this.#place.id);
  }

  #end(lost: boolean): void {
    if (!this.#handed) this.exchange.onGone = this.exchange.onDrain = null;
    this.#place?.lane.resume(this);
    this.exchange.release();
    this.#events.unwatch(this);
    this.#events.onEnd(this, lost);
  }
}
