#include "http/front.h"

#include <assert.h>
#include <sys/random.h>

#include "http/exchange.h"

static void put_hex(char *to, size_t digits, uint64_t n)
{
    while (digits--) {
        to[digits] = "0123456789abcdef"[n & 15];
        n >>= 4;
    }
}

/* Chance is only wanted so that two servers' ids differ: the clock does if need be. */
static uint64_t chance(void)
{
    uint64_t bits;
    if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
        bits = loop_clock_ns();
    return bits;
}

void front_init(struct front *f, struct loop *loop, const struct http_options *options,
                void (*left)(struct front *))
{
    *f = (struct front){
        .loop = loop,
        .limits = options->limits,
        .handler = options->handler,
        .left = left,
        .date_s = -1,
        .id_seed = chance(),
    };
    trust_init(&f->trust, options->trusted_proxies);
    list_init(&f->idle);
    list_init(&f->active);
    list_init(&f->spare);
    put_hex(f->id_start, sizeof(f->id_start), chance());
}

void front_deinit(struct front *f)
{
    assert(f->alive == 0);
    exchange_free_spares(f);
    buf_deinit(&f->scratch);
    trust_deinit(&f->trust);
}

struct slice front_date(struct front *f)
{
    time_t now = time(NULL);
    if (now != f->date_s) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(f->date, sizeof(f->date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
        f->date_s = now;
    }
    return (struct slice){f->date, DATE_LEN};
}

/* splitmix64: a counter in, something that looks like chance out, and never twice. */
static uint64_t scatter(uint64_t n)
{
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return n ^ (n >> 31);
}

struct slice front_make_id(struct front *f, char text[REQUEST_ID_LEN])
{
    f->id_seed += 0x9e3779b97f4a7c15u;
    memcpy(text, f->id_start, sizeof(f->id_start));
    put_hex(text + sizeof(f->id_start), REQUEST_ID_LEN - sizeof(f->id_start),
            scatter(f->id_seed));
    return (struct slice){text, REQUEST_ID_LEN};
}
