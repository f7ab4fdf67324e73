/* The same objects for `import`. */
import nodey from './index.cjs';

export default nodey;
export const {
    get, post, put, patch, head, options, all, route, ws, set, token, ask, publish, enqueue, seek, on, job, start,
    before, after, onStart, onStop, response, text, html, json, redirect, file, sse, serve,
    Nodey, NodeyError, HTTPError, Retry, Dead, log,
} = nodey;
const del = nodey.delete; // no name for a variable
export { del as delete, NodeyError as Error };
