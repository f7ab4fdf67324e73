/* The same for `import`. */
import testing from './testing.cjs';

export default testing;
export const { client, testBus, Client, TestBus, TestResponse, StreamResponse, TestSocket } = testing;
