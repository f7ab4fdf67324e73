/* stopping: whether nodey has told the worker to end, for those who go on for long. */
'use strict';

const { setMaxListeners } = require('node:events');

const controller = new AbortController();
setMaxListeners(0, controller.signal); // each open stream may listen

function stop() {
    controller.abort(new DOMException('the worker is to end', 'AbortError'));
}

module.exports = { signal: controller.signal, stop };
