// So many attempts of each key in a span of time.
'use strict';

module.exports = class Throttle {
    #counts = new Map();
    #end = 0;

    constructor(most, ms) {
        this.most = most;
        this.ms = ms;
    }

    /** Counts an attempt and returns 0, or returns in how many seconds there may be one. */
    take(key) {
        const now = Date.now();
        if (now >= this.#end) {
            this.#counts.clear();
            this.#end = now + this.ms;
        }
        const count = this.#counts.get(key) ?? 0;
        if (count >= this.most) return Math.ceil((this.#end - now) / 1000);
        this.#counts.set(key, count + 1);
        return 0;
    }

    forget(key) {
        this.#counts.delete(key);
    }
};
