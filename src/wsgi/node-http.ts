/** Node's own HTTP, loaded only by those who need it: it takes as long as the rest of a small server. */
export const nodeHttp = () => process.getBuiltinModule('node:http');
