#include "loop/life.h"

#include <assert.h>

void life_init(struct life *life, void (*gone)(struct life *))
{
    *life = (struct life){.holds = 1, .gone = gone};
}

void life_hold(struct life *life)
{
    assert(life->holds > 0);
    life->holds++;
}

void life_drop(struct life *life)
{
    assert(life->holds > 0);
    if (--life->holds == 0)
        life->gone(life);
}

void life_adopt(struct life *life, uv_handle_t *handle)
{
    life_hold(life);
    handle->data = life;
}

static void on_closed(uv_handle_t *handle)
{
    life_drop(handle->data);
}

void life_close(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}
