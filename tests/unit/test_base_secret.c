#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/secret.h"

#include <cmocka.h>

static void names_tell_what_is_secret(void **state)
{
    static const struct {
        const char *name;
        bool secret;
    } cases[] = {
        {"PASSWORD", true},
        {"DB_PASSWORD", true},
        {"db_password_hash", true},
        {"MYSQL_PASSWD", true},
        {"SSH_PASSPHRASE", true},
        {"DB_PASS", true},
        {"PASS", true},
        {"COMPASS", false},
        {"BYPASS", false},
        {"PASSIVE_MODE", false},
        {"MYSQL_PWD", true},
        {"PWD", false},
        {"OLDPWD", false},
        {"JWT_SECRET", true},
        {"SECRET_NUMBER", true},
        {"GITHUB_TOKEN", true},
        {"githubToken", true},
        {"TOKENS", true},
        {"TOKENIZERS_PARALLELISM", false},
        {"API_KEY", true},
        {"APIKEY", true},
        {"apiKeyId", true},
        {"AWS_ACCESS_KEY_ID", true},
        {"SSH_KEYS", true},
        {"STRIPE_KEY2", true},
        {"KEYBOARD", false},
        {"KEYBOARD_LAYOUT", false},
        {"XKB_KEYMAP", false},
        {"GOOGLE_APPLICATION_CREDENTIALS", true},
        {"PRIVATE_URL", true},
        {"DB_PASSWORD_FILE", false},
        {"SSH_KEY_PATH", false},
        {"SECRETS_DIR", false},
        {"PATH", false},
        {"HOME", false},
        {"PORT", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (secret_is_name(slice_of(cases[i].name), NULL) != cases[i].secret)
            fail_msg("%s must%s be secret", cases[i].name, cases[i].secret ? "" : " not");
}

static void patterns_add_further_names(void **state)
{
    static const char *const patterns[] = {"*_DSN", "LICENCE", "x*y*z", NULL};

    static const struct {
        const char *name;
        bool secret;
    } cases[] = {{"MAIN_DSN", true}, {"main_dsn", true},  {"DSN", false}, {"_DSN", true},
                 {"LICENCE", true},  {"LICENCES", false}, {"xz", false},  {"XaybzZ", true},
                 {"xyz", true},      {"xyzy", false},     {"HOME", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (secret_is_name(slice_of(cases[i].name), patterns) != cases[i].secret)
            fail_msg("%s must%s match", cases[i].name, cases[i].secret ? "" : " not");
}

static void only_the_password_of_an_address_is_hidden(void **state)
{
    static const struct {
        const char *entry, *shown;
    } cases[] = {
        {"DATABASE_URL=postgres://shop:s3cr3t@db:5432/shop",
         "DATABASE_URL=postgres://shop:***@db:5432/shop"},
        {"REDIS_URL=redis://:hunter22@cache/0", "REDIS_URL=redis://:***@cache/0"},
        {"URL=amqp://a:b@c@host/", "URL=amqp://a:***@host/"},
        {"URL=https://user@host/", "URL=https://user@host/"},
        {"URL=https://host:80/a@b", "URL=https://host:80/a@b"},
        {"URL=http://host/?at=x:y@z", "URL=http://host/?at=x:y@z"},
        {"URL=://a:b@c", "URL=://a:b@c"},
        {"TEXT=a:b@c", "TEXT=a:b@c"},
        {"API_KEY=abc", "API_KEY=***"},
        {"API_KEY=", "API_KEY="},
        {"PASSWORD_URL=http://a:b@c", "PASSWORD_URL=http://a:***@c"},
        {"HOME=/root", "HOME=/root"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        secret_show(&out, cases[i].entry, NULL);
        assert_string_equal(buf_cstr(&out), cases[i].shown);
        buf_deinit(&out);
    }
}

static void words_of_a_command_line_are_looked_at(void **state)
{
    static const struct {
        const char *word, *shown;
    } cases[] = {
        {"--password=abc", "--password=***"},
        {"--api-key=abc", "--api-key=***"},
        {"API_KEY=abc", "API_KEY=***"},
        {"--port=80", "--port=80"},
        {"--", "--"},
        {"-=x", "-=x"},
        {"--url=http://u:pw@h/", "--url=http://u:***@h/"},
        {"http://u:pw@h/?password=1", "http://u:***@h/?password=1"},
        {"require('password')==1", "require('password')==1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        secret_show_word(&out, slice_of(cases[i].word), NULL);
        assert_string_equal(buf_cstr(&out), cases[i].shown);
        buf_deinit(&out);
    }
}

static void known_values_are_masked_in_texts(void **state)
{
    static const char *const entries[] = {"API_KEY=hunter2hunter2", "TOKEN=hunter2",
                                          "SHORT_KEY=abc",          "HOME=/home/shop",
                                          "DB=pg://u:dbpass@h",     "QUOTED_KEY=a\"b\\c\nd"};

    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"abc", "abc"},
        {"nothing here, abc /home/shop", "nothing here, abc /home/shop"},
        {"hunter2", "***"},
        {"hunter2hunter2", "***"},
        {"hunter2hunter2hunter2!", "******!"},
        {"a hunter2 b hunter2", "a *** b ***"},
        {"hunter", "hunter"},
        {"hhunter2", "h***"},
        {"pg://u:dbpass@h", "pg://u:***@h"},
        {"{\"k\":\"a\\\"b\\\\c\\nd\"}", "{\"k\":\"***\"}"},
        {"a\"b\\c\nd", "***"},
    };
    struct secrets secrets = {0};
    struct buf scratch = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        secrets_add(&secrets, entries[i], NULL);
    size_t before = secrets.count;
    secrets_add(&secrets, entries[0], NULL);
    assert_int_equal(secrets.count, before);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice shown = secrets_mask(&secrets, slice_of(cases[i].text), &scratch);
        if (!slice_is(shown, cases[i].shown))
            fail_msg("\"%s\" became \"" SLICE_FMT "\"", cases[i].text, SLICE_ARG(shown));
    }
    buf_deinit(&scratch);
    secrets_deinit(&secrets);
}

static void a_text_without_secrets_is_not_copied(void **state)
{
    struct secrets none = {0}, some = {0};
    struct buf scratch = {0};
    struct slice text = SLICE("a line that says nothing");
    (void)state;
    assert_ptr_equal(secrets_mask(&none, text, &scratch).ptr, text.ptr);
    secrets_add_value(&some, SLICE("something"));
    assert_ptr_equal(secrets_mask(&some, text, &scratch).ptr, text.ptr);
    assert_null(scratch.ptr);
    secrets_deinit(&some);
}

static void many_secrets_are_all_found(void **state)
{
    struct secrets secrets = {0};
    struct buf text = {0}, scratch = {0}, expected = {0};
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        char value[32];
        snprintf(value, sizeof(value), "secret-%u-end", i * 7919);
        secrets_add_value(&secrets, slice_of(value));
        buf_addf(&text, "<%s>", value);
        buf_adds(&expected, "<***>");
    }
    struct slice shown = secrets_mask(&secrets, buf_slice(&text), &scratch);
    assert_true(slice_eq(shown, buf_slice(&expected)));
    buf_deinit(&text);
    buf_deinit(&scratch);
    buf_deinit(&expected);
    secrets_deinit(&secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell_what_is_secret),
        cmocka_unit_test(patterns_add_further_names),
        cmocka_unit_test(only_the_password_of_an_address_is_hidden),
        cmocka_unit_test(words_of_a_command_line_are_looked_at),
        cmocka_unit_test(known_values_are_masked_in_texts),
        cmocka_unit_test(a_text_without_secrets_is_not_copied),
        cmocka_unit_test(many_secrets_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
