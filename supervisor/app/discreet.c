#include "app/discreet.h"

#include "config/secrets.h"

void discreet_learn(struct discreet *d, const struct config *config)
{
    secrets_deinit(&d->secrets);
    config_secrets(config, &d->secrets);
}

void discreet_deinit(struct discreet *d)
{
    secrets_deinit(&d->secrets);
    buf_deinit(&d->sentence);
    buf_deinit(&d->text);
    buf_deinit(&d->fields);
    buf_deinit(&d->stack);
}

const char *discreet_sentence(struct discreet *d, const char *sentence)
{
    struct slice text = slice_of(sentence), shown;
    shown = secrets_mask(&d->secrets, text, &d->sentence);
    return shown.ptr == text.ptr ? sentence : buf_cstr(&d->sentence);
}

struct worker_line discreet_line(struct discreet *d, const struct worker_line *line)
{
    struct worker_line shown = *line;
    shown.text = secrets_mask(&d->secrets, line->text, &d->text);
    shown.fields = secrets_mask(&d->secrets, line->fields, &d->fields);
    shown.stack = secrets_mask(&d->secrets, line->stack, &d->stack);
    return shown;
}
