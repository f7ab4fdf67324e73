#include "client/when.h"

#include <stdio.h>
#include <time.h>

#include "client/moment.h"

int when_read(const char *text, int64_t *ms, struct err *err)
{
    char utc[MOMENT_TEXT];
    struct tm tm = {0};
    unsigned us = 0;
    if (moment_read(text, utc, err))
        return -1;
    if (sscanf(utc, "%4d-%2d-%2dT%2d:%2d:%2d.%6uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
        return err_set(err, -1, "\"%s\" is no time", text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ms = (int64_t)timegm(&tm) * 1000 + us / 1000;
    return 0;
}

char *when_write(char text[WHEN_TEXT], int64_t ms)
{
    time_t now = time(NULL), then = (time_t)(ms / 1000);
    struct tm today, tm;
    localtime_r(&now, &today);
    localtime_r(&then, &tm);
    bool same = today.tm_year == tm.tm_year && today.tm_yday == tm.tm_yday;
    size_t len = strftime(text, WHEN_TEXT, same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(text + len, WHEN_TEXT - len, ".%03u", (unsigned)(ms % 1000));
    return text;
}
