/*
 * serve: nodey.serve(app), for an app that was written for a server of its own.
 */
'use strict';

const life = require('../life.cjs');
const registry = require('../registry.cjs');
const { detect } = require('./detect.cjs');

const SERVED = new WeakMap(); // http.Server -> its Injector

function injectorOf(server) {
    const { Injector } = require('./inject.cjs');
    let injector = SERVED.get(server);
    if (!injector) SERVED.set(server, injector = new Injector(server));
    return injector;
}

function isServed(server) {
    return SERVED.has(server);
}

/* An app that must be started first: requests come after that, for it is an onStart hook. */
function later(start) {
    const app = {
        features: ['stream', 'upgrade'],
        serve: null,
    };
    registry.addHook('onStart', async () => {
        const injector = injectorOf(await start());
        app.serve = (frame) => injector.serve(frame);
    });
    return app;
}

function appOf({ server, start, fetch }) {
    if (server) return injectorOf(server);
    if (fetch) return require('./fetch.cjs').fetchApp(fetch);
    return later(start);
}

/**
 * Serves an app; see detect() for what that can be.  options: those of start().  Resolves
 * when the worker is ready; rejects nothing: an app that does not start ends the worker.
 */
function serve(app, options) {
    registry.setApp(appOf(detect(app)));
    return life.start(options);
}

module.exports = { serve, injectorOf, isServed };
