/** How connections of `makeServer` are treated: the command's options of the same names, with the same defaults. */
export interface ConnectionOptions {
  /** Connections that the kernel holds until they are accepted. Default 2048. */
  readonly backlog: number;
  /** Seconds that an idle connection stays open for the next request; 0 closes after each answer. Default 2. */
  readonly keepAlive: number;
  /** Seconds in which a client has to send the head of a request, and to agree on TLS; then 408. Default 30. */
  readonly clientHeaderTimeout: number;
  /** Seconds without a byte of the request body; then 408. Default 30. */
  readonly clientBodyTimeout: number;
  /** Seconds in which a client takes nothing of its answer; then it is cut. Default 60. */
  readonly sendTimeout: number;
  /** Longest request line in bytes; a longer one gets 414. 0 is the most there is, 64 KiB. Default 4094. */
  readonly limitRequestLine: number;
  /** Most header fields; more get 431. 0 is the most there is, 32768. Default 100. */
  readonly limitRequestFields: number;
  /** Longest header field in bytes; a longer one gets 431. 0 is the most there is, 64 KiB. Default 8190. */
  readonly limitRequestFieldSize: number;
  /** Largest request body in bytes; a larger one gets 413. 0 is no limit. Default 1 GiB. */
  readonly limitRequestBody: number;
  /** Bytes of one request body that are held in memory; a longer one goes to a spool file. Default 64 KiB. */
  readonly bodyMemory: number;
  /** Bytes that request bodies and answers may fill in memory, all connections together. Default 256 MiB. */
  readonly memoryLimit: number;
  /** Folder for spool files, which have no name in it and are gone with the process. Default `/var/tmp`. */
  readonly spoolDir: string;
  /** Bytes that all spool files together may take. Default 8 GiB. */
  readonly spoolLimit: number;
}

const KIB = 1024;

/** Written out: the command's table, from which it could be read, takes longer to load than all the rest. */
export const CONNECTION_DEFAULTS: ConnectionOptions = {
  backlog: 2048,
  keepAlive: 2,
  clientHeaderTimeout: 30,
  clientBodyTimeout: 30,
  sendTimeout: 60,
  limitRequestLine: 4094,
  limitRequestFields: 100,
  limitRequestFieldSize: 8190,
  limitRequestBody: KIB ** 3,
  bodyMemory: 64 * KIB,
  memoryLimit: 256 * KIB ** 2,
  spoolDir: '/var/tmp',
  spoolLimit: 8 * KIB ** 3,
};
