/* The same objects for `import`. */
import nodey from './index.cjs';

export default nodey;
export const {
    get, post, put, patch, head, options, all, route, ws, set, token, ask, start,
    before, after, onStart, onStop, response, text, html, json, redirect, file, sse, serve,
    Nodey, NodeyError, HTTPError, log,
} = nodey;
const del = nodey.delete; // no name for a variable
export { del as delete, NodeyError as Error };
