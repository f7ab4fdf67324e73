#include "http/mediatype.h"

struct type {
    const char *extension; /* lower case, without the dot */
    const char *type;
    bool packed;
};

enum { EXTENSION_MAX = 12 };

/* Sorted by extension: see find(). */
/* clang-format off */
static const struct type types[] = {
    {"3gp", "video/3gpp", true},
    {"7z", "application/x-7z-compressed", true},
    {"aac", "audio/aac", true},
    {"apk", "application/vnd.android.package-archive", true},
    {"apng", "image/apng", true},
    {"atom", "application/atom+xml; charset=utf-8", false},
    {"avi", "video/x-msvideo", true},
    {"avif", "image/avif", true},
    {"bmp", "image/bmp", false},
    {"br", "application/octet-stream", true},
    {"bz2", "application/x-bzip2", true},
    {"cjs", "text/javascript; charset=utf-8", false},
    {"conf", "text/plain; charset=utf-8", false},
    {"css", "text/css; charset=utf-8", false},
    {"csv", "text/csv; charset=utf-8", false},
    {"deb", "application/vnd.debian.binary-package", true},
    {"doc", "application/msword", false},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", true},
    {"eot", "application/vnd.ms-fontobject", false},
    {"epub", "application/epub+zip", true},
    {"flac", "audio/flac", true},
    {"geojson", "application/geo+json", false},
    {"gif", "image/gif", true},
    {"glb", "model/gltf-binary", false},
    {"gltf", "model/gltf+json", false},
    {"gz", "application/gzip", true},
    {"heic", "image/heic", true},
    {"htm", "text/html; charset=utf-8", false},
    {"html", "text/html; charset=utf-8", false},
    {"ico", "image/x-icon", false},
    {"ics", "text/calendar; charset=utf-8", false},
    {"jar", "application/java-archive", true},
    {"jpeg", "image/jpeg", true},
    {"jpg", "image/jpeg", true},
    {"js", "text/javascript; charset=utf-8", false},
    {"json", "application/json", false},
    {"jsonl", "application/jsonl", false},
    {"jsonld", "application/ld+json", false},
    {"jxl", "image/jxl", true},
    {"log", "text/plain; charset=utf-8", false},
    {"m3u8", "application/vnd.apple.mpegurl", false},
    {"m4a", "audio/mp4", true},
    {"m4v", "video/mp4", true},
    {"map", "application/json", false},
    {"markdown", "text/markdown; charset=utf-8", false},
    {"md", "text/markdown; charset=utf-8", false},
    {"mid", "audio/midi", false},
    {"mjs", "text/javascript; charset=utf-8", false},
    {"mkv", "video/matroska", true},
    {"mov", "video/quicktime", true},
    {"mp3", "audio/mpeg", true},
    {"mp4", "video/mp4", true},
    {"mpd", "application/dash+xml", false},
    {"mpeg", "video/mpeg", true},
    {"mpg", "video/mpeg", true},
    {"ndjson", "application/x-ndjson", false},
    {"odp", "application/vnd.oasis.opendocument.presentation", true},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet", true},
    {"odt", "application/vnd.oasis.opendocument.text", true},
    {"oga", "audio/ogg", true},
    {"ogg", "audio/ogg", true},
    {"ogv", "video/ogg", true},
    {"opus", "audio/ogg", true},
    {"otf", "font/otf", false},
    {"parquet", "application/vnd.apache.parquet", true},
    {"pdf", "application/pdf", true},
    {"png", "image/png", true},
    {"ppt", "application/vnd.ms-powerpoint", false},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", true},
    {"ps", "application/postscript", false},
    {"rar", "application/vnd.rar", true},
    {"rss", "application/rss+xml; charset=utf-8", false},
    {"rtf", "application/rtf", false},
    {"sql", "application/sql", false},
    {"sqlite", "application/vnd.sqlite3", false},
    {"stl", "model/stl", false},
    {"svg", "image/svg+xml; charset=utf-8", false},
    {"svgz", "image/svg+xml", true},
    {"tar", "application/x-tar", false},
    {"text", "text/plain; charset=utf-8", false},
    {"tgz", "application/gzip", true},
    {"tif", "image/tiff", false},
    {"tiff", "image/tiff", false},
    {"toml", "application/toml; charset=utf-8", false},
    {"ts", "video/mp2t", true},
    {"tsv", "text/tab-separated-values; charset=utf-8", false},
    {"ttf", "font/ttf", false},
    {"txt", "text/plain; charset=utf-8", false},
    {"vtt", "text/vtt; charset=utf-8", false},
    {"wasm", "application/wasm", false},
    {"wav", "audio/wav", false},
    {"weba", "audio/webm", true},
    {"webm", "video/webm", true},
    {"webmanifest", "application/manifest+json", false},
    {"webp", "image/webp", true},
    {"woff", "font/woff", true},
    {"woff2", "font/woff2", true},
    {"xhtml", "application/xhtml+xml; charset=utf-8", false},
    {"xls", "application/vnd.ms-excel", false},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", true},
    {"xml", "application/xml; charset=utf-8", false},
    {"xsl", "application/xml; charset=utf-8", false},
    {"xz", "application/x-xz", true},
    {"yaml", "application/yaml; charset=utf-8", false},
    {"yml", "application/yaml; charset=utf-8", false},
    {"zip", "application/zip", true},
    {"zst", "application/zstd", true},
};

/* clang-format on */

static const struct type *find(struct slice name)
{
    char extension[EXTENSION_MAX + 1];
    const char *dot = name.len ? memrchr(name.ptr, '.', name.len) : NULL;
    size_t len = dot ? name.len - (size_t)(dot + 1 - name.ptr) : 0;
    if (len == 0 || len > EXTENSION_MAX)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        char c = dot[1 + i];
        extension[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    extension[len] = '\0';
    size_t low = 0, high = ARRAY_LEN(types);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(extension, types[middle].extension);
        if (order == 0)
            return &types[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct slice mediatype_of(struct slice name)
{
    const struct type *type = find(name);
    return type ? slice_of(type->type) : SLICE("application/octet-stream");
}

bool mediatype_is_packed(struct slice name)
{
    const struct type *type = find(name);
    return type && type->packed;
}

static bool fits(struct slice type, struct slice pattern)
{
    const char *star = memchr(pattern.ptr, '*', pattern.len);
    if (!star)
        return slice_eq_nocase(type, pattern);
    struct slice before = {pattern.ptr, (size_t)(star - pattern.ptr)};
    struct slice after = slice_from(pattern, before.len + 1);
    return type.len >= before.len + after.len &&
           slice_eq_nocase((struct slice){type.ptr, before.len}, before) &&
           slice_eq_nocase(slice_from(type, type.len - after.len), after) &&
           !slice_eq_nocase(type, SLICE("text/event-stream"));
}

bool mediatype_fits(struct slice type, const char *const *patterns, size_t count)
{
    const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    if (semicolon)
        type.len = (size_t)(semicolon - type.ptr);
    type = slice_trim(type);
    for (size_t i = 0; type.len && i < count; i++)
        if (fits(type, slice_of(patterns[i])))
            return true;
    return false;
}
