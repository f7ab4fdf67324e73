#include "pool/balance.h"

enum { KNOWN_AFTER = 4 }; /* answers */

/* a.open / a.concurrency < b.open / b.concurrency, without dividing. */
bool balance_less(const struct balance_load *a, const struct balance_load *b)
{
    return (uint64_t)a->open * b->concurrency < (uint64_t)b->open * a->concurrency;
}

unsigned balance_prefetch(const struct pace *pace, unsigned declared)
{
    if (declared == 0 || pace->samples < KNOWN_AFTER)
        return 0;
    double fit = BALANCE_WAIT_US / MAX(pace->peak_us, 1.0);
    return fit >= declared ? declared : (unsigned)fit;
}
