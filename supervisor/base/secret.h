/*
 * secret: what must not be shown to whoever merely looks on.
 *
 * Two questions.  Is this a variable whose value is nobody's business?  That is told by its
 * name.  And does this text, a log line or a command, hold such a value?  That is told by a
 * set of the values that are known; they need not be secrets of whoever wrote the text.
 *
 * Names: *PASSWORD*, *PASSWD*, *PASSPHRASE*, *SECRET*, *CREDENTIAL*, *PRIVATE*, and the words
 * KEY, TOKEN, PASS, PWD at the end of a part of the name ("API_KEY", "apikeys", but neither
 * KEYBOARD_LAYOUT nor PWD alone), in either case.  Not what names a file or a folder
 * ("DB_PASSWORD_FILE").  Of an address with a password, "redis://user:password@host", whatever
 * its name, the password alone is one.
 */
#pragma once

#include "base/buf.h"

enum {
    SECRET_MIN = 6,     /* bytes: shorter values are not looked for in texts */
    SECRET_MAX = 16384, /* bytes: nor are longer ones */
};

/*
 * Is a variable of this name secret?  `patterns`: further names, "*" stands for any letters;
 * NULL-terminated, or NULL.
 */
bool secret_is_name(struct slice name, const char *const *patterns);

/* The password in "scheme://user:password@host..."; empty: there is none. */
struct slice secret_password(struct slice value);

/* Appends "NAME=value" with *** for what is secret of the value. */
void secret_show(struct buf *, const char *entry, const char *const *patterns);

/* The same of a value alone, whose name is known. */
void secret_show_value(struct buf *, struct slice name, struct slice value,
                       const char *const *patterns);

/*
 * Appends a word of a command line with *** for what is secret by its look: an address's
 * password, and the value of "--password=value" or "API_KEY=value".
 */
void secret_show_word(struct buf *, struct slice word, const char *const *patterns);

/* Values that are looked for in texts.  `struct secrets s = {0}` is an empty set. */
struct secrets {
    struct slice *values; /* owned */
    uint32_t *next;       /* of the same bucket, + 1 */
    size_t count;
    size_t cap;
    uint32_t *buckets; /* of the first SECRET_MIN bytes, + 1 */
    uint64_t *pairs;   /* a bit for each pair of bytes that a value begins with */
};

/* The set is empty and usable again. */
void secrets_deinit(struct secrets *);

/* Adds what is secret of "NAME=value", if anything; copies. */
void secrets_add(struct secrets *, const char *entry, const char *const *patterns);

/* Adds a value whatever it is called, and as it looks inside a JSON string. */
void secrets_add_value(struct secrets *, struct slice value);

/*
 * The text with *** for each known value in it: the text itself when there is none (nothing is
 * written then), or what `scratch` holds afterwards.  One pass; without any secrets none.
 */
struct slice secrets_mask(const struct secrets *, struct slice text, struct buf *scratch);
