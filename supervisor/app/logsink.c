#include "app/logsink.h"

#include "base/buf.h"
#include "loop/sink.h"

void logsink_plain(void *arg, struct slice line)
{
    sink_write(arg, line);
}

/* The log of a run for one command stands back behind what the command prints. */
void logsink_dimmed(void *arg, struct slice line)
{
    static const struct slice reset = {"\x1b[0m", 4};
    struct buf out = {0};
    buf_adds(&out, "\x1b[2m");
    for (const char *at; (at = memmem(line.ptr, line.len, reset.ptr, reset.len));) {
        buf_append(&out, line.ptr, (size_t)(at - line.ptr));
        buf_adds(&out, "\x1b[0;2m");
        line = slice_from(line, (size_t)(at - line.ptr) + reset.len);
    }
    buf_append(&out, line.ptr, line.len - 1); /* but its LF */
    buf_adds(&out, "\x1b[0m\n");
    sink_write(arg, buf_slice(&out));
    buf_deinit(&out);
}

void logsink_nobody(void *arg, struct slice line)
{
    (void)arg;
    (void)line;
}
