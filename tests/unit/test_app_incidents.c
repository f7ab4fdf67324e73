/* Reports of what went wrong: what is in them, how many there are, and what they cost. */
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/incidents.h"
#include "base/json.h"
#include "pool/inspector.h"
#include "tests/unit/folder.h"
#include "tests/unit/rig.h"

#include <cmocka.h>

/* -------------------------------------------------------------------- the files */

static void ids_sort_by_day_and_count(void **state)
{
    struct incident_ids ids;
    struct err err;
    (void)state;
    static const char *const written[] = {"2026-11-21-9999", "2026-11-22-0001",
                                          "2026-11-21-10000", "2026-11-21-0007"};
    static const char *const sorted[] = {"2026-11-22-0001", "2026-11-21-10000",
                                         "2026-11-21-9999", "2026-11-21-0007"};
    for (size_t i = 0; i < ARRAY_LEN(written); i++)
        assert_int_equal(incident_write("reports", written[i], SLICE("{}\n"), &err), 0);
    folder_put("reports/notes.json", "{}");
    folder_put("reports/2026-11-21-0001.txt", "{}");
    assert_int_equal(incident_ids_read(&ids, "reports", &err), 0);
    assert_int_equal(ids.count, ARRAY_LEN(sorted));
    for (size_t i = 0; i < ids.count; i++)
        assert_string_equal(ids.items[i], sorted[i]);
    incident_ids_deinit(&ids);
    incident_prune("reports", 2);
    assert_int_equal(incident_ids_read(&ids, "reports", &err), 0);
    assert_int_equal(ids.count, 2);
    assert_string_equal(ids.items[1], "2026-11-21-10000");
    incident_ids_deinit(&ids);
    assert_int_equal(access("reports/notes.json", F_OK), 0);
}

static void a_file_is_for_its_owner_and_whole(void **state)
{
    struct stat file, folder;
    struct err err;
    struct buf text = {0};
    (void)state;
    assert_int_equal(incident_write("own", "2026-11-21-0001", SLICE("{\"a\":1}"), &err), 0);
    assert_int_equal(stat("own/2026-11-21-0001.json", &file), 0);
    assert_int_equal(stat("own", &folder), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(folder.st_mode & 0777, 0700);
    folder_put("own/.new2026-11-21-0002", "{\"half");
    incident_prune("own", 10);
    assert_int_equal(access("own/.new2026-11-21-0002", F_OK), -1);
    assert_int_equal(incident_read("own", "2026-11-21-0001", &text, &err), 0);
    assert_true(slice_is(buf_slice(&text), "{\"a\":1}"));
    buf_deinit(&text);
}

static void an_id_is_no_path(void **state)
{
    (void)state;
    assert_true(incident_is_id(SLICE("2026-11-21-0001")));
    assert_true(incident_is_id(SLICE("2026-11-21-12345")));
    assert_false(incident_is_id(SLICE("2026-11-21-001")));
    assert_false(incident_is_id(SLICE("2026-11-21-0001/..")));
    assert_false(incident_is_id(SLICE("../../etc/passwd000")));
    assert_false(incident_is_id(SLICE("2026-11-21-000x")));
    assert_false(incident_is_id(SLICE("")));
}

static void the_count_begins_anew_each_day(void **state)
{
    char id[INCIDENT_ID];
    (void)state;
    incident_next_id("", "2026-11-21", id);
    assert_string_equal(id, "2026-11-21-0001");
    incident_next_id("2026-11-21-0041", "2026-11-21", id);
    assert_string_equal(id, "2026-11-21-0042");
    incident_next_id("2026-11-21-9999", "2026-11-21", id);
    assert_string_equal(id, "2026-11-21-10000");
    incident_next_id("2026-11-21-9999", "2026-11-22", id);
    assert_string_equal(id, "2026-11-22-0001");
}

/* ------------------------------------------------------------------------ words */

static void an_exit_is_said_in_words(void **state)
{
    char text[128];
    (void)state;

    const struct {
        struct proc_exit exit;
        const char *words;
    } cases[] = {
        {{.code = 3}, "exited with status 3"},
        {{.code = 126}, "exited with status 126 (the command cannot be executed)"},
        {{.code = 127}, "exited with status 127 (the command was not found)"},
        {{.code = 137}, "exited with status 137 (of a shell that is: killed by SIGKILL)"},
        {{.code = 139}, "exited with status 139 (of a shell that is: killed by SIGSEGV)"},
        {{.code = 255}, "exited with status 255"},
        {{.signal = SIGKILL}, "killed by SIGKILL"},
        {{.signal = SIGTERM}, "killed by SIGTERM"},
        {{.signal = SIGABRT},
         "killed by SIGABRT (it gave up by itself: an assertion, or no memory)"},
        {{.signal = SIGRTMIN + 1}, "killed by signal 35"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        postmortem_describe_exit(&cases[i].exit, text, sizeof(text));
        assert_string_equal(text, cases[i].words);
    }
}

static void a_paused_debugger_tells_the_stack(void **state)
{
    struct buf scripts = {0}, stack = {0};
    (void)state;
    assert_false(inspector_read(SLICE("{\"method\":\"Debugger.scriptParsed\",\"params\":"
                                      "{\"scriptId\":\"7\",\"url\":\"file:///app/x.js\"}}"),
                                &scripts, &stack));
    assert_false(inspector_read(SLICE("{\"method\":\"Debugger.scriptParsed\",\"params\":"
                                      "{\"scriptId\":\"77\",\"url\":\"node:fs\"}}"),
                                &scripts, &stack));
    assert_false(inspector_read(SLICE("{\"id\":1,\"result\":{}}"), &scripts, &stack));
    assert_false(inspector_read(SLICE("{\"method\":"), &scripts, &stack));
    assert_true(inspector_read(
        SLICE("{\"method\":\"Debugger.paused\",\"params\":{\"callFrames\":["
              "{\"functionName\":\"spin\",\"url\":\"\",\"location\":{\"scriptId\":\"7\","
              "\"lineNumber\":1,\"columnNumber\":18}},"
              "{\"functionName\":\"\",\"location\":{\"scriptId\":\"77\",\"lineNumber\":0,"
              "\"columnNumber\":0}},"
              "{\"functionName\":\"lost\",\"location\":{\"scriptId\":\"8\"}}]}}"),
        &scripts, &stack));
    assert_string_equal(buf_cstr(&stack), "at spin (/app/x.js:2:19)\n"
                                          "at (anonymous) (node:fs:1:1)\n"
                                          "at lost (?:0:0)\n");
    buf_deinit(&scripts);
    buf_deinit(&stack);
}

static void only_nodes_own_words_are_its_chatter(void **state)
{
    (void)state;
    assert_true(inspector_is_chatter(SLICE("Debugger listening on ws://127.0.0.1:1/a")));
    assert_true(inspector_is_chatter(SLICE("Debugger attached.")));
    assert_false(inspector_is_chatter(SLICE("Debugger of mine")));
    assert_false(inspector_is_chatter(SLICE("")));
    assert_null(
        inspector_open(NULL, SLICE("Debugger listening on ws://10.0.0.1:1/a"), NULL, NULL));
    assert_null(
        inspector_open(NULL, SLICE("Debugger listening on ws://127.0.0.1:x/a"), NULL, NULL));
    assert_null(
        inspector_open(NULL, SLICE("Debugger listening on ws://127.0.0.1:1/a b"), NULL, NULL));
}

/* ----------------------------------------------------------------- real workers */

/* Of the test that runs: what is told of ends goes there. */
static struct incidents *reports;

static void on_ended(struct pool_observer *observer, struct pool *pool, struct worker *w,
                     const char *how)
{
    (void)observer, (void)pool;
    incidents_ended(reports, w, how);
}

/* A rig whose workers' ends are reported to a folder of its own. */
struct scene {
    struct rig *rig;
    struct incidents incidents;
    char data_dir[4096];
};

static void scene_open(struct scene *s, void **state, const char *name)
{
    static const struct incident_secrets none;
    s->rig = rig_new();
    s->rig->observer.ended = on_ended;
    snprintf(s->data_dir, sizeof(s->data_dir), "%s/%s", (const char *)*state, name);
    mkdir(s->data_dir, 0755);
    incidents_init(&s->incidents, &s->rig->pools, s->data_dir, 100, &none);
    reports = &s->incidents;
}

static void scene_close(struct scene *s)
{
    pools_kill(&s->rig->pools);
    rig_until(s->rig, s->rig->stops > 0);
    incidents_deinit(&s->incidents);
    rig_free(s->rig);
}

/* How many reports there are; the newest is read into `newest`, which may be NULL. */
static size_t count_reports(const struct scene *s, struct buf *newest)
{
    struct incident_ids ids;
    struct err err;
    char *folder = incident_folder(s->data_dir);
    assert_int_equal(incident_ids_read(&ids, folder, &err), 0);
    size_t count = ids.count;
    if (newest && count)
        assert_int_equal(incident_read(folder, ids.items[0], newest, &err), 0);
    incident_ids_deinit(&ids);
    xfree(folder);
    return count;
}

static unsigned agains(const struct scene *s)
{
    unsigned again = 0;
    for (size_t i = 0; i < INCIDENT_CAUSES; i++)
        again += s->incidents.items[i].again;
    return again;
}

static void a_crash_loop_writes_one_report(void **state)
{
    struct scene s;
    struct buf text = {0};
    struct worker_config config = rig_config("loops", "import os; os._exit(3)");
    scene_open(&s, state, "loop");
    config.max_restarts = 1000;
    rig_pool(s.rig, &config);
    rig_until(s.rig, agains(&s) >= 12);
    unsigned times = agains(&s);
    scene_close(&s);
    assert_int_equal(count_reports(&s, &text), 1);
    assert_non_null(strstr(buf_cstr(&text), "\"reason\":\"crash\""));
    assert_non_null(strstr(buf_cstr(&text), "exited with status 3, before it was ready"));
    const char *again = strstr(buf_cstr(&text), "\"again\":{\"count\":");
    assert_non_null(again);
    assert_in_range(atoi(again + 17), times, times + 2);
    buf_deinit(&text);
}

/* Thirty causes in a row: the first ten have reports of their own. */
static void one_program_cannot_write_hundreds(void **state)
{
    struct scene s;
    struct worker_config config = rig_config("many", "ready()");
    scene_open(&s, state, "many");
    config.max_restarts = 1000;
    struct pool *pool = rig_pool(s.rig, &config);
    for (int n = 1; n <= 30; n++) {
        struct job job;
        char source[64];
        rig_until(s.rig, pool_serves(pool));
        snprintf(source, sizeof(source), "import os; os._exit(%d)", n);
        job_send(&job, pool, source);
        rig_until(s.rig, job.ends);
    }
    assert_int_equal(agains(&s), 20);
    scene_close(&s);
    assert_int_equal(count_reports(&s, NULL), 10);
}

static void what_is_told_to_end_is_no_incident(void **state)
{
    struct scene s;
    struct worker_config config = rig_config("good", "ready()");
    scene_open(&s, state, "good");
    struct pool *pool = rig_pool(s.rig, &config);
    rig_until(s.rig, pool_serves(pool));
    pool_renew(pool, "a test");
    rig_until(s.rig, s.rig->readies == 2);
    rig_linger(s.rig, 50);
    scene_close(&s);
    assert_int_equal(count_reports(&s, NULL), 0);
}

static void a_report_is_bounded_whatever_was_written(void **state)
{
    struct scene s;
    struct buf text = {0};
    struct json_scan scan;
    struct json_value value;
    struct worker_config config =
        rig_config("floods", "import os\n"
                             "for n in range(200): os.write(2, b'\\x01' * 3000 + b'\\n')\n"
                             "os.write(2, b'\\xff\\xfe last words\\n')\n"
                             "os._exit(1)");
    scene_open(&s, state, "flood");
    rig_pool(s.rig, &config);
    rig_until(s.rig, agains(&s) >= 1);
    scene_close(&s);
    assert_int_equal(count_reports(&s, &text), 1);
    assert_in_range(text.len, 1000, INCIDENT_BYTES);
    json_scan_init(&scan, buf_slice(&text));
    assert_true(json_scan_value(&scan, &value) && json_scan_done(&scan));
    assert_false(scan.dirty);
    assert_non_null(strstr(buf_cstr(&text), "last words"));
    buf_deinit(&text);
}

/* The folder's place is taken by a file: as a disk that is full. */
static void what_cannot_be_written_fails_nobody(void **state)
{
    struct scene s;
    struct worker_config config = rig_config("sad", "import os; os._exit(1)");
    folder_put("nowhere/incidents", "a file");
    scene_open(&s, state, "nowhere");
    config.max_restarts = 1000;
    rig_pool(s.rig, &config);
    rig_until(s.rig, agains(&s) >= 3);
    assert_true(s.incidents.failing);
    scene_close(&s);
}

static void none_are_kept_when_none_are_wanted(void **state)
{
    struct scene s;
    struct worker_config config = rig_config("off", "import os; os._exit(1)");
    scene_open(&s, state, "off");
    s.incidents.keep = 0;
    config.max_restarts = 1000;
    rig_pool(s.rig, &config);
    rig_until(s.rig, s.rig->failures >= 3);
    scene_close(&s);
    assert_int_equal(count_reports(&s, NULL), 0);
}

static void a_damaged_report_spoils_no_list(void **state)
{
    struct buf list = {0};
    (void)state;
    folder_put("mixed/2026-01-01-0001.json", "{\"program\":\"a\",\"n\":1}\n");
    folder_put("mixed/2026-01-01-0002.json", "{\"program\":\"a\",\"n\"");
    folder_put("mixed/2026-01-01-0003.json", "");
    folder_put("mixed/2026-01-01-0004.json", "{\"program\":\"b\",\"n\":4}\n");
    incidents_write_list("mixed", (struct slice){0}, 10, &list);
    assert_string_equal(buf_cstr(&list), "[{\"program\":\"b\",\"n\":4}\n"
                                         ",{\"program\":\"a\",\"n\":1}\n]\n");
    buf_clear(&list);
    incidents_write_list("mixed", SLICE("a"), 10, &list);
    assert_string_equal(buf_cstr(&list), "[{\"program\":\"a\",\"n\":1}\n]\n");
    buf_deinit(&list);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(ids_sort_by_day_and_count),
        cmocka_unit_test(a_file_is_for_its_owner_and_whole),
        cmocka_unit_test(an_id_is_no_path),
        cmocka_unit_test(the_count_begins_anew_each_day),
        cmocka_unit_test(an_exit_is_said_in_words),
        cmocka_unit_test(a_paused_debugger_tells_the_stack),
        cmocka_unit_test(only_nodes_own_words_are_its_chatter),
        cmocka_unit_test(a_damaged_report_spoils_no_list),
        cmocka_unit_test(a_crash_loop_writes_one_report),
        cmocka_unit_test(one_program_cannot_write_hundreds),
        cmocka_unit_test(what_is_told_to_end_is_no_incident),
        cmocka_unit_test(a_report_is_bounded_whatever_was_written),
        cmocka_unit_test(what_cannot_be_written_fails_nobody),
        cmocka_unit_test(none_are_kept_when_none_are_wanted),
    };
    /* The actor is found from the top folder, which the tests leave. */
    assert(rig_config("any", "").command.count);
    return cmocka_run_group_tests(all, folder_enter, folder_leave);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
