/* The same objects for `import`; `delete` is no name for a variable, hence `del`. */
import nodey from './index.cjs';

export default nodey;
export const {
    get, post, put, patch, head, options, all, route, set, token, ask, start,
    Nodey, NodeyError, HTTPError, response, log,
} = nodey;
export const del = nodey.delete;
