/** What the main thread of a worker and the thread that takes orders for it say to each other. */
export type ToWatch =
  /** Open the control connection of a new session, whose lane is there. */
  | {
      readonly type: 'connect';
      readonly session: number;
      readonly gateway: string;
      readonly worker: number;
      readonly pid: number;
    }
  /** The lane of this session has ended. */
  | { readonly type: 'disconnect'; readonly session: number }
  /** The answer to `there`. */
  | { readonly type: 'here' };

export type FromWatch =
  /** Does the event loop turn? */
  | { readonly type: 'there' }
  | { readonly type: 'abandon'; readonly id: number }
  | { readonly type: 'interrupt'; readonly id: number }
  | { readonly type: 'drain' }
  | { readonly type: 'reopen' }
  /** The control connection of this session has ended, or could not be opened. */
  | { readonly type: 'lost'; readonly session: number };

/** What the thread is started with. */
export interface WatchData {
  /** Memory of the claims. */
  readonly claims: SharedArrayBuffer;
  /** Where the arbiter looks for stacks. */
  readonly stackFile: string;
}
