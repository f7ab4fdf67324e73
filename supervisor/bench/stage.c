#include "bench/stage.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void on_signal(struct sig *sig, int signum)
{
    struct loop *loop = container_of(sig->handle.loop, struct loop, uv);
    struct bench_stage *stage = container_of(loop, struct bench_stage, loop);
    stage->stop = true;
    stage->signum = signum;
    loop_stop(loop);
}

int bench_stage_open(struct bench_stage *stage, struct err *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    memset(stage, 0, sizeof(*stage));
    int rc = loop_init(&stage->loop);
    if (rc)
        return err_set(err, rc, "cannot start the event loop: %s", loop_strerror(rc));
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        IGNORE(sig_start(&stage->signals[i], &stage->loop, signals[i],
                         on_signal)); /* then it ends at once */
    stage->shows = isatty(STDERR_FILENO);
    return 0;
}

void bench_stage_close(struct bench_stage *stage)
{
    bench_stage_show(stage, NULL);
    for (size_t i = 0; i < ARRAY_LEN(stage->signals); i++)
        sig_stop(&stage->signals[i]);
    IGNORE(loop_deinit(&stage->loop)); /* the process ends anyway */
}

void bench_stage_show(struct bench_stage *stage, const char *fmt, ...)
{
    if (!stage->shows)
        return;
    fputs("\r\033[K", stderr);
    if (fmt) {
        va_list args;
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
    }
    fflush(stderr);
}
