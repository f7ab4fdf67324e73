/* The same for `import`. */
import testing from './testing.cjs';

export default testing;
export const { client, Client, TestResponse, StreamResponse, TestSocket } = testing;
