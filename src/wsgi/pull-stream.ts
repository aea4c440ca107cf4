/** How much is asked for at a time. */
const PIECE = 64 * 1024;

/**
 * A Web byte stream that reads only when it is asked, so that never more than one piece is in memory, and
 * nothing is taken that the reader does not want (after `cancel`, too).
 * @param fill puts the next bytes into the view, and gives their number; 0 at the end.
 */
export function pullStream(fill: (view: Uint8Array) => Promise<number>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      type: 'bytes',
      // The stream makes the buffers: those it is given would be detached, and the request body with them.
      autoAllocateChunkSize: PIECE,
      pull: async (controller: ReadableByteStreamController) => {
        const { byobRequest: request } = controller;
        const view = request?.view;
        if (!request || !view) return;
        const count = await fill(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        if (count === 0) controller.close();
        request.respond(count);
      },
    },
    { highWaterMark: 0 },
  );
}
