#include "bench/target.h"

#include <stdio.h>
#include <unistd.h>

#include "client/members.h"
#include "client/session.h"

enum { START_MS = 60000, NAMES_MAX = 12 };

/* ----------------------------------------------------------------- a URL */

/* "unix:PATH" or "unix:PATH:/TARGET". */
static int parse_unix(struct bench_target *t, const char *url)
{
    const char *target = strstr(url, ":/");
    if (target == url + 4) /* the path's own beginning */
        target = strstr(target + 1, ":/");
    t->url = xstrdup(url);
    t->address = xstrndup(url, target ? (size_t)(target - url) : strlen(url));
    t->host = xstrdup("localhost");
    t->path = xstrdup(target ? target + 1 : "/");
    return 0;
}

/* Where the port begins, or NULL; a v6 address has colons of its own. */
static const char *find_port(struct slice authority)
{
    const char *bracket = memrchr(authority.ptr, ']', authority.len);
    const char *from = bracket ? bracket : authority.ptr;
    return memchr(from, ':', authority.len - (size_t)(from - authority.ptr));
}

int bench_target_parse(struct bench_target *t, const char *url, struct err *err)
{
    if (strncasecmp(url, "https:", 6) == 0)
        return err_set(err, -1,
                       "no TLS is spoken here: measure the http:// address behind it, "
                       "which is where nodey is");
    if (strncmp(url, "unix:", 5) == 0)
        return parse_unix(t, url);
    const char *scheme = strstr(url, "://");
    if (scheme && strncasecmp(url, "http://", 7) != 0)
        return err_set(err, -1, "\"%s\" is no http:// URL", url);
    const char *at = scheme ? url + 7 : url;
    struct slice authority = {at, strcspn(at, "/?#")};
    struct slice rest = {at + authority.len, strcspn(at + authority.len, "#")};
    if (authority.len == 0 || memchr(authority.ptr, '@', authority.len))
        return err_set(err, -1, "\"%s\" %s", url,
                       authority.len ? "has a user name in it: send an Authorization with -H"
                                     : "names no host");
    const char *port = find_port(authority);
    t->host = xstrndup(authority.ptr, authority.len);
    t->address = xasprintf("%s%s", t->host, port ? "" : ":80");
    t->path =
        xasprintf("%s" SLICE_FMT, rest.len && rest.ptr[0] == '/' ? "" : "/", SLICE_ARG(rest));
    t->url = xasprintf("http://%s%s", t->host, t->path);
    return 0;
}

/* ------------------------------------------------------------ a running nodey */

static int ask_control(struct session *session, const char *target,
                       struct client_response *response, struct json_value *value,
                       struct err *err)
{
    struct client_request request = {.target = target};
    int rc = session_fetch(session, &request, response, err);
    if (rc)
        return rc;
    if (response->status == 200 && members_read(buf_slice(&response->body), value))
        return 0;
    rc = err_set(err, -1, "nodey's control socket answers %u to %s", response->status, target);
    client_response_deinit(response);
    return rc;
}

static int find_address(struct bench_target *t, struct session *session, struct err *err)
{
    struct client_response response;
    struct json_value self, urls, url;
    int rc = ask_control(session, "/v1", &response, &self, err);
    if (rc)
        return rc;
    rc = err_set(err, -1, "nodey is up but serves no address yet");
    if (members_get(&self, "urls", &urls)) {
        struct json_scan it = json_iter(&urls);
        if (json_next_item(&it, &url)) {
            struct buf text = {0};
            json_unescape(&url, &text);
            rc = bench_target_parse(t, buf_cstr(&text), err);
            buf_deinit(&text);
        }
    }
    client_response_deinit(&response);
    return rc;
}

/* A route that can be asked as it is; a last "*" may stand for nothing.  NULL: it cannot. */
static char *askable(struct slice path)
{
    const char *star = memmem(path.ptr, path.len, "/*", 2);
    if (star)
        path.len = (size_t)(star + 1 - path.ptr);
    if (path.len == 0 || memmem(path.ptr, path.len, "/:", 2))
        return NULL;
    return xstrndup(path.ptr, path.len);
}

static char *pick_route(const struct json_value *worker, const char *method)
{
    struct json_value routes, route;
    char *found = NULL;
    if (!members_get(worker, "routes", &routes))
        return NULL;
    struct json_scan it = json_iter(&routes);
    while (!found && json_next_item(&it, &route)) {
        char *takes = members_text(&route, "method");
        char *path = members_text(&route, "path");
        if (takes && path && (strcmp(takes, method) == 0 || strcmp(takes, "*") == 0))
            found = askable(slice_of(path));
        xfree(takes);
        xfree(path);
    }
    return found;
}

static int find_in_list(struct bench_target *t, const struct bench_wish *wish,
                        const struct json_value *workers, struct err *err)
{
    struct buf names = {0};
    struct json_value worker;
    unsigned count = 0;
    int rc = 1;
    struct json_scan it = json_iter(workers);
    while (rc == 1 && json_next_item(&it, &worker)) {
        char *name = members_text(&worker, "name");
        if (name && strcmp(name, wish->word) == 0) {
            xfree(t->path);
            t->path = pick_route(&worker, wish->method);
            rc = t->path ? 0
                         : err_set(err, -1,
                                   "the worker %s has no %s route without parameters: name a "
                                   "path instead, as in nodey bench '/users/1'",
                                   name, wish->method);
        } else if (name && count++ < NAMES_MAX) {
            buf_addf(&names, "%s%s", names.len ? ", " : "", name);
        }
        xfree(name);
    }
    if (rc == 1)
        rc = err_set(err, -1, "there is no worker \"%s\" here; there %s %s%s", wish->word,
                     count == 1 ? "is" : "are", count ? buf_cstr(&names) : "none",
                     count > NAMES_MAX ? " ..." : "");
    buf_deinit(&names);
    return rc;
}

static int find_path(struct bench_target *t, struct session *session,
                     const struct bench_wish *wish, struct err *err)
{
    if (wish->word[0] == '/') {
        xfree(t->path);
        t->path = xstrdup(wish->word);
        return 0;
    }
    struct client_response response;
    struct json_value workers;
    int rc = ask_control(session, "/v1/programs", &response, &workers, err);
    if (rc)
        return rc;
    rc = find_in_list(t, wish, &workers, err);
    client_response_deinit(&response);
    return rc;
}

/* ------------------------------------------------------------------ find, close */

static int start_own(struct bench_target *t, struct bench_stage *stage,
                     const struct bench_wish *wish, struct err *err)
{
    char program[4096], here[4096];
    bench_child_self(program, sizeof(program));
    const char *argv[] = {program,
                          "up",
                          "--listen",
                          "127.0.0.1:0",
                          "--no-dev",
                          "-f",
                          wish->file ? wish->file : "",
                          NULL};
    if (!wish->file)
        argv[5] = NULL;
    if (!getcwd(here, sizeof(here)))
        return err_set(err, -1, "the current folder is gone");
    bench_stage_show(stage, "starting nodey");
    return bench_child_start(&t->own, &stage->loop,
                             &(struct bench_child_spec){
                                 .what = "nodey",
                                 .argv = argv,
                                 .cwd = here,
                                 .ready = "nodey ready on http://",
                                 .timeout_ms = START_MS,
                                 .stop = &stage->stop,
                             },
                             err);
}

static int find_by_name(struct bench_target *t, struct bench_stage *stage,
                        const struct bench_wish *wish, struct err *err)
{
    struct session session = {0};
    int rc = session_open(&session, wish->file, false, err);
    if (rc)
        rc = start_own(t, stage, wish, err);
    if (rc == 0 && t->own.started)
        rc = session_open(&session, wish->file, false, err);
    if (rc)
        return rc;
    rc = find_address(t, &session, err);
    if (rc == 0)
        rc = find_path(t, &session, wish, err);
    session_close(&session);
    if (rc == 0) {
        xfree(t->url);
        t->url = xasprintf("%s%s%s", strncmp(t->address, "unix:", 5) ? "http://" : "",
                           t->address, t->path);
    }
    return rc;
}

int bench_target_find(struct bench_target *t, struct bench_stage *stage,
                      const struct bench_wish *wish, struct err *err)
{
    *t = (struct bench_target){0};
    if (wish->word[0] != '/' && strchr(wish->word, ':'))
        return bench_target_parse(t, wish->word, err);
    return find_by_name(t, stage, wish, err);
}

void bench_target_close(struct bench_target *t)
{
    bench_child_stop(&t->own);
    xfree(t->url);
    xfree(t->address);
    xfree(t->host);
    xfree(t->path);
}
