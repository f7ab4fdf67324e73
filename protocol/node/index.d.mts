/** The same types for `import`. */
import type { NodeyModule } from './index.js';

declare const nodey: NodeyModule;
export default nodey;
export * from './index.js';
