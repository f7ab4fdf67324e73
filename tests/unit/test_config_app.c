/* Applications: how they are configured, and how they are known among dropped-in programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/discover.h"
#include "config/pyapp.h"
#include "config/webapp.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* The text of a script that is a program for nodey, in any language. */
#define NODEY "nodey\n"

/* Loads the text as ./nodey.toml. */
static struct config *load(const char *text, struct err *err)
{
    folder_put("nodey.toml", text);
    return config_load(NULL, err);
}

static void assert_fails(const char *text, const char *sentence)
{
    struct err err = {0};
    assert_null(load(text, &err));
    assert_string_equal(err.text, sentence);
    assert_true(err.code < 0);
}

static void assert_path(const char *path, void **state, const char *below)
{
    char want[256];
    snprintf(want, sizeof(want), "%s%s%s", (const char *)*state, *below ? "/" : "", below);
    assert_string_equal(path, want);
}

static bool has_note(const struct config *c, const char *part)
{
    for (size_t i = 0; i < c->notes.count; i++)
        if (strstr(c->notes.items[i], part))
            return true;
    return false;
}

/* ---------------------------------------------------------------- configuration */

static void an_application_needs_no_script(void **state)
{
    struct err err = {0};
    folder_put("shop/__init__.py", "");
    folder_put("shop/wsgi.py", "");
    struct config *c = load("[workers.shop]\napp = \"shop.wsgi:application\"\n", &err);
    assert_string_equal(err.text, "");
    const struct worker_config *w = &c->workers[0];
    assert_string_equal(w->app, "shop.wsgi:application");
    assert_path(w->script, state, "shop/wsgi.py");
    assert_int_equal(w->command.count, 4);
    assert_string_equal(w->command.items[0], "python3");
    assert_string_equal(w->command.items[1], "@nodey/run.py");
    assert_string_equal(w->command.items[2], "--app");
    assert_string_equal(w->command.items[3], "shop.wsgi:application");
    assert_null(w->command.items[4]);
    assert_path(w->cwd, state, "");
    assert_false(w->ready_auto);
    assert_int_equal(c->notes.count, 0);
    config_release(c);
}

static void an_application_runs_in_its_environment(void **state)
{
    struct err err = {0};
    folder_write("site/.venv/bin/python", "", 0, 0755);
    folder_write("other/bin/python", "", 0, 0755);
    folder_put("site/app.py", "");
    struct config *c = load("[workers.a]\napp = \"app\"\ncwd = \"site\"\n"
                            "[workers.b]\napp = \"app\"\ncwd = \"site\"\nvenv = \"other\"\n"
                            "[workers.c]\napp = \"app:make()\"\n",
                            &err);
    assert_string_equal(err.text, "");
    assert_path(c->workers[0].command.items[0], state, "site/.venv/bin/python");
    assert_path(c->workers[0].script, state, "site/app.py");
    assert_path(c->workers[1].command.items[0], state, "other/bin/python");
    assert_string_equal(c->workers[2].command.items[0], "python3");
    assert_null(c->workers[2].script); /* it may be installed */
    assert_false(c->workers[2].ready_auto);
    assert_int_equal(c->notes.count, 0);
    config_release(c);
}

static void a_module_that_is_certainly_missing_is_noted(void **state)
{
    struct err err = {0};
    char note[256];
    folder_put("shop/__init__.py", "");
    struct config *c = load("[workers.a]\napp = \"shop.wsgi:application\"\n", &err);
    assert_string_equal(err.text, "");
    snprintf(note, sizeof(note),
             "[workers.a] app \"shop.wsgi:application\": there is no shop/wsgi.py in %s",
             (const char *)*state);
    assert_true(has_note(c, note));
    config_release(c);
}

static void threads_are_handed_to_python(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put("fib.py", NODEY);
    folder_put("workers/web.js", NODEY);
    folder_put("workers/old.py", NODEY);
    struct config *c = load("[defaults]\nthreads = 3\n"
                            "[workers.a]\napp = \"fib:app\"\nthreads = 8\n"
                            "env = { NODEY_THREADS = 5, B = 1 }\n"
                            "[workers.fib]\nscript = \"fib.py\"\n"
                            "[workers.none]\nscript = \"fib.py\"\nthreads = 0\n",
                            &err);
    assert_string_equal(err.text, "");
    assert_int_equal(config_worker(c, "a")->env.count, 2);
    assert_string_equal(config_worker(c, "a")->env.items[0], "NODEY_THREADS=8");
    assert_string_equal(config_worker(c, "fib")->env.items[0], "NODEY_THREADS=3");
    assert_string_equal(config_worker(c, "old")->env.items[0], "NODEY_THREADS=3");
    assert_int_equal(config_worker(c, "none")->env.count, 0);
    assert_int_equal(config_worker(c, "web")->env.count, 0);
    config_release(c);
}

static void what_an_application_cannot_be_is_told(void **state)
{
    (void)state;
    folder_put("web.js", NODEY);
    folder_put("web.sh", NODEY);
    assert_fails("[workers.a]\nscript = \"web.js\"\napp = \"x:y\"\n",
                 "nodey.toml:3:7: [workers.a] has a script and an app: one of them must go");
    assert_fails("[workers.a]\napp = \"x:y\"\ncommand = \"z\"\n",
                 "nodey.toml:3:11: [workers.a] has an app and a command: one of them must go");
    assert_fails("[defaults]\napp = \"x:y\"\n",
                 "nodey.toml:2:1: app in [defaults] would be every worker's: put it under "
                 "[workers.NAME]");
    assert_fails(
        "[workers.a]\napp = \"shop/wsgi.py\"\n",
        "nodey.toml:2:7: app must be \"MODULE:NAME\" such as \"shop.wsgi:application\", "
        "or \"MODULE:NAME()\" for a function that makes it, not \"shop/wsgi.py\"");
    assert_fails("[workers.a]\nscript = \"web.js\"\nthreads = 2\n",
                 "nodey.toml:3:1: threads is for Python: one Node process works on many "
                 "requests at a time anyhow, and instances makes it use more CPUs");
    assert_fails("[workers.a]\nscript = \"web.sh\"\nthreads = 2\n",
                 "nodey.toml:3:1: threads is for Python, and [workers.a] runs something else");
}

static void files_are_sent_from_the_configurations_folder(void **state)
{
    struct err err = {0};
    struct config *c = load("[workers.a]\ncommand = \"x\"\n"
                            "[workers.b]\ncommand = \"x\"\nfile_roots = [\"media\", \"/srv\"]\n"
                            "[workers.c]\ncommand = \"x\"\nfile_roots = []\n",
                            &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->workers[0].file_roots.count, 1);
    assert_path(c->workers[0].file_roots.items[0], state, "");
    assert_int_equal(c->workers[1].file_roots.count, 2);
    assert_path(c->workers[1].file_roots.items[0], state, "media");
    assert_string_equal(c->workers[1].file_roots.items[1], "/srv");
    assert_int_equal(c->workers[2].file_roots.count, 0);
    config_release(c);
}

static void a_django_project_is_served_from_its_own_folder(void **state)
{
    struct err err = {0};
    folder_put("workers/shop/manage.py",
               "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_one.settings')\n");
    folder_put("workers/shop/site_one/wsgi.py", "application = get_wsgi_application()\n");
    struct config *c = load("[workers.shop]\ninstances = 3\nthreads = 2\n", &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 1);
    const struct worker_config *w = &c->workers[0];
    assert_string_equal(w->app, "site_one.wsgi:application");
    assert_path(w->cwd, state, "workers/shop");
    assert_path(w->script, state, "workers/shop/site_one/wsgi.py");
    assert_string_equal(w->command.items[3], "site_one.wsgi:application");
    assert_int_equal(w->instances, 3);
    assert_string_equal(w->env.items[0], "NODEY_THREADS=2");
    config_release(c);
    c = load("[workers.web]\napp = \"site_one.wsgi:application\"\ncwd = \"workers/shop\"\n",
             &err);
    assert_string_equal(err.text, "");
    assert_int_equal(c->worker_count, 1); /* not once more as shop */
    config_release(c);
}

/* ------------------------------------------------------------------------ names */

static void applications_have_names(void **state)
{
    static const char *const good[] = {"app",        "app:app",        "shop.wsgi:application",
                                       "a.b.c:d.e",  "app:make_app()", "_a1._b:_c",
                                       "caf\u00e9:x"};
    static const char *const bad[] = {
        "",   ":app",  "app:",  "app:()",     "a..b",   ".a",      "a.",      "a:b:c", "a:b.",
        "1a", "a b:c", "a/b:c", "app.py:a-b", "a:b(1)", "a:b()()", "--app:x", "a:b() "};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!pyapp_valid(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (pyapp_valid(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

static void what_cannot_be_seen_is_not_missing(void **state)
{
    static const struct {
        const char *app, *missing;
    } cases[] = {
        {"nowhere:app", NULL},      /* installed, for all one knows */
        {"nowhere.wsgi:app", NULL}, /* the same */
        {"open.wsgi:app", NULL},    /* a namespace may go on elsewhere */
        {"shop.wsgi:app", NULL},    /* there */
        {"shop.fast:app", NULL},    /* made of C */
        {"shop.inner.x:app", NULL}, /* a namespace again */
        {"shop:app", NULL},         /* there */
        {"shop.wsgy:app", "shop/wsgy.py"},
        {"shop.api.wsgi", "shop/api/wsgi.py"},
        {"shop.nothing.wsgi", "shop/nothing.py"},
    };
    struct arena a = {0};
    folder_put("open/other.py", "");
    folder_put("shop/__init__.py", "");
    folder_put("shop/wsgi.py", "");
    folder_put("shop/fast.cpython-311.so", "");
    folder_put("shop/inner/y.py", "");
    folder_put("shop/api/__init__.py", "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *missing = pyapp_missing(&a, *state, cases[i].app);
        if (!slice_eq(slice_of(missing), slice_of(cases[i].missing)))
            fail_msg("%s: %s", cases[i].app, missing ? missing : "nothing");
    }
    assert_path(pyapp_file(&a, *state, "shop:app"), state, "shop/__init__.py");
    assert_path(pyapp_file(&a, *state, "shop.wsgi"), state, "shop/wsgi.py");
    assert_null(pyapp_file(&a, *state, "shop.inner:app"));
    arena_deinit(&a);
}

static void a_django_project_is_known_by_its_parts(void **state)
{
    struct arena a = {0};
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/p", (const char *)*state);
    folder_put("p/other/x.py", "");
    assert_null(pyapp_django(&a, folder));
    folder_put("p/manage.py", "main()\n");
    assert_null(pyapp_django(&a, folder));
    folder_put("p/web/asgi.py", "");
    assert_string_equal(pyapp_django(&a, folder), "web.asgi:application");
    folder_put("p/web/wsgi.py", "");
    assert_string_equal(pyapp_django(&a, folder), "web.wsgi:application");
    folder_put("p/also/wsgi.py", "");
    assert_string_equal(pyapp_django(&a, folder), "also.wsgi:application");
    folder_put("p/manage.py", "os.environ.setdefault(\n  \"DJANGO_SETTINGS_MODULE\",\n"
                              "  \"web.settings.dev\")\n");
    assert_string_equal(pyapp_django(&a, folder), "web.wsgi:application");
    folder_put("p/manage.py", "environ['DJANGO_SETTINGS_MODULE'] = 'gone.settings'\n");
    assert_string_equal(pyapp_django(&a, folder), "also.wsgi:application");
    arena_deinit(&a);
}

/* -------------------------------------------------------------------- discovery */

static const struct {
    enum script_kind kind;
    bool is_app;
    const char *text;
} texts[] = {
    {SCRIPT_NODE, true, "const app = require('express')();\napp.listen(3000);\n"},
    {SCRIPT_NODE, true, "import Koa from \"koa\";\nnew Koa().listen(port);\n"},
    {SCRIPT_NODE, true, "import http from 'node:http';\nhttp.createServer(f).listen(0);\n"},
    {SCRIPT_NODE, true, "require(`fastify`)()\n  .listen({ port: 3000 });\n"},
    {SCRIPT_NODE, true, "import { NestFactory } from '@nestjs/core';\nawait app.listen(1);"},
    {SCRIPT_NODE, true, "import { serve } from '@hono/node-server';\nserve(app);\n"},
    {SCRIPT_NODE, true, "const next = require('next');\ncreateServer(h).listen(3000)"},
    {SCRIPT_NODE, false, "module.exports = require('express').Router();\n"},
    {SCRIPT_NODE, true, "const app = require('express')();\nmodule.exports = app;\n"},
    {SCRIPT_NODE, true,
     "import { Hono } from 'hono';\nconst it = new Hono();\n"
     "export default it;\n"},
    {SCRIPT_NODE, true,
     "var express = require('express');\nvar app = express();\n"
     "app.use(x);\nmodule.exports=app;"},
    {SCRIPT_NODE, false,
     "const express = require('express');\n"
     "const api = express.Router();\nmodule.exports = api;\n"},
    {SCRIPT_NODE, false, "const app = require('express')();\nmodule.exports.app = app;\n"},
    {SCRIPT_NODE, false, "const app = require('express')();\nmodule.exports = apple;\n"},
    {SCRIPT_NODE, false, "const app = express();\nmodule.exports = app;\n"},
    {SCRIPT_NODE, true,
     "import { WebSocketServer } from 'ws';\n"
     "new WebSocketServer({ port: 8080 });\n"},
    {SCRIPT_NODE, true,
     "const WebSocket = require('ws');\nnew WebSocket.Server({\n"
     "  maxPayload: 9,\n  port });\n"},
    {SCRIPT_NODE, false,
     "import { WebSocketServer } from 'ws';\n"
     "new WebSocketServer({ noServer: true, portal: 1 });\n"},
    {SCRIPT_NODE, false,
     "const WebSocket = require('ws');\n"
     "new WebSocket('ws://x', { port: 1 });\n"},
    {SCRIPT_NODE, true,
     "import { Server } from 'socket.io';\n"
     "const io = new Server(3000, { cors: {} });\n"},
    {SCRIPT_NODE, true, "const io = require('socket.io')(process.env.PORT || 1);\n"},
    {SCRIPT_NODE, false,
     "import { Server } from 'socket.io';\n"
     "export const io = (server) => new Server(server, { port: 1 });\n"},
    {SCRIPT_NODE, false, "import { Server } from 'ours';\nnew Server(3000);\n"},
    {SCRIPT_NODE, false, "const app = require('express')();\n// app.listen(3000);\n"},
    {SCRIPT_NODE, false, "/*\n * require('express')().listen(3000)\n */\n"},
    {SCRIPT_NODE, false, "require('net').createServer(f).listen(7);\n"},
    {SCRIPT_NODE, false, "const s = \"we express thanks\"; bus.listen(s);\n"},
    {SCRIPT_NODE, false, "require('express-session'); bus.listen(s);\n"},
    {SCRIPT_PYTHON, true, "from flask import Flask\napp = Flask(__name__)\n"},
    {SCRIPT_PYTHON, true, "app = flask.Flask(__name__)\n"},
    {SCRIPT_PYTHON, true, "app = FastAPI(title='x')\n"},
    {SCRIPT_PYTHON, true, "app = Starlette(routes=[])\n"},
    {SCRIPT_PYTHON, true, "app = Quart(__name__)\n"},
    {SCRIPT_PYTHON, true, "app = Litestar([index])\n"},
    {SCRIPT_PYTHON, true, "application = get_wsgi_application()\n"},
    {SCRIPT_PYTHON, true, "application = get_asgi_application()\n"},
    {SCRIPT_PYTHON, true, "app = bottle.Bottle()\n"},
    {SCRIPT_PYTHON, true, "app = falcon.App()\n"},
    {SCRIPT_PYTHON, true, "app = falcon.asgi.App()\n"},
    {SCRIPT_PYTHON, true, "def application(environ, start_response):\n    pass\n"},
    {SCRIPT_PYTHON, true, "X = 1\nasync def app(scope, receive, send):\n    pass\n"},
    {SCRIPT_PYTHON, true, "async def app(scope: Scope, receive: Receive, send: Send):\n"},
    {SCRIPT_PYTHON, true, "uvicorn.run('api:app', port=1)\n"},
    {SCRIPT_PYTHON, false, "shop = Blueprint('shop', __name__)\n"},
    {SCRIPT_PYTHON, false, "router = APIRouter()\n"},
    {SCRIPT_PYTHON, false, "from flask import Flask\nclass Shop(Flask): pass\n"},
    {SCRIPT_PYTHON, false, "app = MyFlask(__name__)\n"},
    {SCRIPT_PYTHON, false, "# app = Flask(__name__)\n"},
    {SCRIPT_PYTHON, false, "class A:\n    def application(environ, start_response): pass\n"},
    {SCRIPT_PYTHON, false, "def middleware(environ, start_response): pass\n"},
    {SCRIPT_PYTHON, false, ""},
    {SCRIPT_OTHER, false, "app = Flask(__name__)\n"},
};

static void web_apps_are_known_by_their_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (webapp_in_text(slice_of(texts[i].text), texts[i].kind) != texts[i].is_app)
            fail_msg("case %zu: %s", i, texts[i].text);
}

/* "name=file (app)", in the order of the names. */
static char *discovered(const char *dir)
{
    struct arena a = {0};
    struct discovery d = {0};
    struct err err;
    struct buf b = {0};
    assert_int_equal(discover(&a, dir, &d, &err), 0);
    for (size_t i = 0; i < d.count; i++)
        buf_addf(&b, "%s%s=%s%s%s", i ? " " : "", d.scripts[i].name,
                 d.scripts[i].path + strlen(dir) + strlen("/workers/"),
                 d.scripts[i].app ? ":" : "", d.scripts[i].app ? d.scripts[i].app : "");
    if (d.notes.count)
        buf_addf(&b, "; %s", d.notes.items[0]);
    arena_deinit(&a);
    return buf_give(&b);
}

static void apps_are_dropped_in_without_a_word_of_nodey(void **state)
{
    static const char express[] = "const app = require('express')();\napp.listen(3000);\n";
    folder_put("workers/web.js", express);
    folder_put("workers/web.test.js", express);
    folder_put("workers/router.js", "module.exports = require('express').Router();\n");
    folder_put("workers/api.py", "app = FastAPI()\n");
    folder_put("workers/test_api.py", "app = FastAPI()\n");
    folder_put("workers/models.py", "class Item: pass\n");
    folder_put("workers/front/package.json", "{\"main\": \"src/server.js\"}");
    folder_put("workers/front/src/server.js", express);
    folder_put("workers/back/package.json", "{\"scripts\":{\"start\":\"node --x lib/go\"}}");
    folder_put("workers/back/lib/go.js", express);
    folder_put("workers/lib/index.js", "module.exports = 1;\n");
    folder_put("workers/shop/manage.py", "'DJANGO_SETTINGS_MODULE', 'shop.settings'\n");
    folder_put("workers/shop/shop/wsgi.py", "application = get_wsgi_application()\n");
    char *got = discovered(*state);
    assert_string_equal(got, "api=api.py back=back/lib/go.js front=front/src/server.js "
                             "shop=shop/shop/wsgi.py:shop.wsgi:application web=web.js; "
                             "workers/: api.py (python3), back/ (node), front/ (node), "
                             "shop/ (Django), web.js (node) are served");
    xfree(got);
}

static void what_a_program_loads_is_no_program(void **state)
{
    static const char app[] = "const app = require('express')();\nmodule.exports = app;\n";
    folder_put("workers/alone.js", app);
    folder_put("workers/app.js", app);
    folder_put("workers/app.test.js", "require('./alone');\n");
    folder_put("workers/db.js", "module.exports = 1;\n");
    folder_put("workers/left.mjs", "import './right.mjs';\nimport nodey from 'nodey';\n");
    folder_put("workers/right.mjs", "import './left.mjs';\nimport nodey from 'nodey';\n");
    folder_put("workers/server.js", "const db = require('./db.js');\n"
                                    "require(\"./app\").listen(3000);\n");
    folder_put("workers/util.js", "require('./db'); emitter.listen(1);\n");
    folder_put("workers/gen/app.js", app);
    folder_put("workers/gen/package.json", "{\"scripts\":{\"start\":\"node ./bin/www\"}}");
    folder_put("workers/gen/bin/www",
               "#!/usr/bin/env node\nvar app = require('../app'), http = require('http');\n"
               "http.createServer(app).listen(port);\n");
    char *got = discovered(*state);
    assert_string_equal(got, "alone=alone.js gen=gen/bin/www left=left.mjs server=server.js; "
                             "workers/: alone.js (node), gen/ (node), left.mjs (node), "
                             "server.js (node) are served");
    xfree(got);
}

static void a_folder_that_is_a_worker_runs_in_itself(void **state)
{
    struct err err = {0};
    folder_put("workers/shop/index.js", NODEY);
    folder_put("workers/pack/main.py", NODEY);
    folder_put("workers/file.js", NODEY);
    folder_put("workers/home/index.js", NODEY);
    struct config *c =
        load("[workers.shop]\ninstances = 1\n[workers.home]\ncwd = \".\"\n", &err);
    assert_string_equal(err.text, "");
    assert_path(config_worker(c, "shop")->cwd, state, "workers/shop");
    assert_path(config_worker(c, "pack")->cwd, state, "workers/pack");
    assert_path(config_worker(c, "file")->cwd, state, "");
    assert_path(config_worker(c, "home")->cwd, state, "");
    config_release(c);
}

static void what_a_section_names_is_not_noted(void **state)
{
    struct err err = {0};
    (void)state;
    folder_put("workers/echo.mjs", "import { start } from './start.mjs';\n");
    folder_put("workers/start.mjs", "export const start = 1;\n");
    folder_put("workers/other.mjs", "export const other = 1;\n");
    folder_put("workers/dist/main.js", "go();\n");
    struct config *c = load("[workers.echo]\nscript = \"workers/echo.mjs\"\n"
                            "[workers.main]\ncommand = [\"node\", \"workers/dist/main.js\"]\n",
                            &err);
    assert_string_equal(err.text, "");
    assert_false(has_note(c, "echo.mjs"));
    assert_false(has_note(c, "start.mjs"));
    assert_false(has_note(c, "dist"));
    assert_true(has_note(c, "workers/other.mjs is not served"));
    config_release(c);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_application_needs_no_script),
        IN_FOLDER(an_application_runs_in_its_environment),
        IN_FOLDER(a_module_that_is_certainly_missing_is_noted),
        IN_FOLDER(threads_are_handed_to_python),
        IN_FOLDER(what_an_application_cannot_be_is_told),
        IN_FOLDER(files_are_sent_from_the_configurations_folder),
        IN_FOLDER(a_django_project_is_served_from_its_own_folder),
        cmocka_unit_test(applications_have_names),
        IN_FOLDER(what_cannot_be_seen_is_not_missing),
        IN_FOLDER(a_django_project_is_known_by_its_parts),
        cmocka_unit_test(web_apps_are_known_by_their_text),
        IN_FOLDER(apps_are_dropped_in_without_a_word_of_nodey),
        IN_FOLDER(what_a_program_loads_is_no_program),
        IN_FOLDER(a_folder_that_is_a_worker_runs_in_itself),
        IN_FOLDER(what_a_section_names_is_not_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
