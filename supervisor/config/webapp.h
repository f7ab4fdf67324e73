/*
 * webapp: does a source text make a web server or a web application?
 *
 * By the words of the frameworks, outside of comments: a guess, and one that errs towards
 * no.  A module of an app that only makes a router, a blueprint or a schema is none.
 */
#pragma once

#include "base/slice.h"
#include "config/script.h"

/*
 * JavaScript: it calls .listen() and imports http or a framework, has ws or socket.io open
 * a port, or exports an app that it has made with a framework.  Python: it makes an
 * application of a framework, runs a server, or has a WSGI or ASGI callable at its top.
 */
bool webapp_in_text(struct slice text, enum script_kind);

/* JavaScript: `module.exports = app` or `export default app`, and app = express(), or alike. */
bool webapp_is_exported(struct slice text);

/* JavaScript: it calls .listen() of something. */
bool webapp_listens(struct slice text);
