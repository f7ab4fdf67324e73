/*
 * pyapp: a WSGI or ASGI application of Python, as a configuration names it.
 *
 * "shop.wsgi:application" is what `from shop.wsgi import application` finds, seen from the
 * worker's folder; ":make_app()" a function that makes it; and a module without a name is
 * searched for one by the SDK.  Nothing is imported here: only the files are looked at.
 */
#pragma once

#include "base/arena.h"

/* True for MODULE, MODULE:NAME and MODULE:NAME(), where both may have dots. */
bool pyapp_valid(const char *app);

/* The module's file below the folder; NULL when there is none that can be seen. */
const char *pyapp_file(struct arena *, const char *folder, const char *app);

/*
 * What is certainly missing, "shop/wsgi.py": the package that it should lie in is there, and
 * it is not.  NULL when nothing can be said, because Python looks in other places too.
 */
const char *pyapp_missing(struct arena *, const char *folder, const char *app);

/*
 * The application of a Django project: a folder with a manage.py, and a package with a
 * wsgi.py or an asgi.py in it.  NULL when it is none.
 */
const char *pyapp_django(struct arena *, const char *folder);
