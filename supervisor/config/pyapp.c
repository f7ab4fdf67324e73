#include "config/pyapp.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"

enum { ENTRIES_MAX = 1000, MANAGE_MAX = 64 * 1024 };

static bool exists(const char *folder, const char *name, mode_t kind)
{
    struct stat st;
    char *path = xasprintf("%s/%s", folder, name);
    bool found = stat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind;
    xfree(path);
    return found;
}

/* ------------------------------------------------------------------------ names */

/* Identifiers joined by dots; letters beyond ASCII are Python's to judge. */
static bool is_dotted(struct slice text)
{
    bool begins = true;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool letter = isalpha(c) || c == '_' || c >= 0x80;
        if (begins ? !letter : !letter && !isdigit(c) && c != '.')
            return false;
        begins = c == '.';
    }
    return text.len > 0 && !begins;
}

static struct slice module_of(const char *app)
{
    return (struct slice){app, strcspn(app, ":")};
}

bool pyapp_valid(const char *app)
{
    struct slice module = module_of(app), name = slice_of(app + module.len);
    if (!is_dotted(module))
        return false;
    if (name.len == 0)
        return true;
    name = slice_from(name, 1);
    if (name.len > 2 && memcmp(name.ptr + name.len - 2, "()", 2) == 0)
        name.len -= 2;
    return is_dotted(name);
}

/* "shop/wsgi" of "shop.wsgi:application", with a tail. */
static char *path_of(struct slice module, const char *tail)
{
    char *path = xasprintf(SLICE_FMT "%s", SLICE_ARG(module), tail);
    for (size_t i = 0; i < module.len; i++)
        if (path[i] == '.')
            path[i] = '/';
    return path;
}

static bool module_exists(const char *folder, struct slice module, const char *tail)
{
    char *path = path_of(module, tail);
    bool found = exists(folder, path, S_IFREG);
    xfree(path);
    return found;
}

const char *pyapp_file(struct arena *a, const char *folder, const char *app)
{
    static const char *const tails[] = {".py", "/__init__.py"};
    struct slice module = module_of(app);
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        if (!module_exists(folder, module, tails[i]))
            continue;
        char *tail = path_of(module, tails[i]), *path = xasprintf("%s/%s", folder, tail);
        const char *kept = arena_strdup(a, slice_of(path));
        xfree(tail);
        xfree(path);
        return kept;
    }
    return NULL;
}

/* As source, as a package of any kind, or as a library made of C. */
static bool may_exist(const char *folder, struct slice module)
{
    char *name = path_of(module, ""), *path = xasprintf("%s/%s", folder, name);
    bool there = exists(folder, name, S_IFDIR);
    char *base = strrchr(path, '/');
    *base++ = '\0';
    size_t len = strlen(base);
    DIR *dir = there ? NULL : opendir(path);
    const struct dirent *entry;
    while (dir && !there && (entry = readdir(dir)))
        there = strncmp(entry->d_name, base, len) == 0 && entry->d_name[len] == '.';
    if (dir)
        closedir(dir);
    xfree(name);
    xfree(path);
    return there;
}

const char *pyapp_missing(struct arena *a, const char *folder, const char *app)
{
    struct slice module = module_of(app), part = module;
    for (part.len = 0; part.len < module.len; part.len++) {
        bool ends = module.ptr[part.len] == '.';
        /* A folder without an __init__.py may go on in another place. */
        if (ends && !module_exists(folder, part, "/__init__.py"))
            return NULL;
        struct slice next = {module.ptr, part.len + 1};
        while (ends && next.len < module.len && module.ptr[next.len] != '.')
            next.len++;
        if (ends && !may_exist(folder, next)) {
            char *path = path_of(next, ".py");
            const char *kept = arena_strdup(a, slice_of(path));
            xfree(path);
            return kept;
        }
    }
    return NULL;
}

/* ----------------------------------------------------------------------- Django */

/* "wsgi" or "asgi", as the package has it; the former when it has both. */
static const char *gateway_of(const char *folder, struct slice package)
{
    static const char *const gateways[] = {"wsgi", "asgi"};
    for (size_t i = 0; i < ARRAY_LEN(gateways); i++) {
        char *tail = xasprintf("/%s.py", gateways[i]);
        bool found = module_exists(folder, package, tail);
        xfree(tail);
        if (found)
            return gateways[i];
    }
    return NULL;
}

/* The package that manage.py names: "shop" of 'shop.settings' or "shop.settings.dev". */
static void read_settings(const char *folder, struct buf *package)
{
    static const char key[] = "DJANGO_SETTINGS_MODULE";
    struct buf text = {0};
    char *path = xasprintf("%s/manage.py", folder);
    FILE *file = fopen(path, "re");
    xfree(path);
    if (!file)
        return;
    text.len = fread(buf_reserve(&text, MANAGE_MAX), 1, MANAGE_MAX, file);
    fclose(file);
    const char *words = buf_cstr(&text), *at = strstr(words, key);
    at = at ? at + sizeof(key) - 1 : words + strlen(words);
    at += strspn(at, "\"', \n\t=]()");
    struct slice module = {at, strcspn(at, "\"'")};
    const char *dot = memchr(module.ptr, '.', module.len);
    module.len = dot ? (size_t)(dot - module.ptr) : module.len;
    if (is_dotted(module))
        buf_add(package, module);
    buf_deinit(&text);
}

/* The first by name of the packages that have a gateway. */
static void find_package(const char *folder, struct buf *package)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    for (int i = 0; dir && i < ENTRIES_MAX && (entry = readdir(dir)); i++) {
        struct slice name = slice_of(entry->d_name);
        bool first = !package->len || strcmp(entry->d_name, buf_cstr(package)) < 0;
        if (!is_dotted(name) || memchr(name.ptr, '.', name.len) || !first ||
            !gateway_of(folder, name))
            continue;
        buf_clear(package);
        buf_add(package, name);
    }
    if (dir)
        closedir(dir);
}

const char *pyapp_django(struct arena *a, const char *folder)
{
    const char *app = NULL;
    struct buf package = {0};
    if (!exists(folder, "manage.py", S_IFREG))
        return NULL;
    read_settings(folder, &package);
    if (!package.len || !gateway_of(folder, buf_slice(&package))) {
        buf_clear(&package);
        find_package(folder, &package);
    }
    const char *gateway = package.len ? gateway_of(folder, buf_slice(&package)) : NULL;
    if (gateway) {
        char *text = xasprintf("%s.%s:application", buf_cstr(&package), gateway);
        app = arena_strdup(a, slice_of(text));
        xfree(text);
    }
    buf_deinit(&package);
    return app;
}
