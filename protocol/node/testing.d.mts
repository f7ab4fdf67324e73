/** The same types for `import`. */
import type { TestingModule } from './testing.js';

declare const testing: TestingModule;
export default testing;
export * from './testing.js';
