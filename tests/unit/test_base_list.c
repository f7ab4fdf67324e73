#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#include <cmocka.h>

struct item {
    char name;
    struct list link;
};

enum { ITEMS = 6 };

struct fixture {
    struct list head;
    struct list other;
    struct item items[ITEMS]; /* 'a' and on, in no list */
};

static void init(struct fixture *f)
{
    list_init(&f->head);
    list_init(&f->other);
    for (int i = 0; i < ITEMS; i++) {
        f->items[i].name = (char)('a' + i);
        list_init(&f->items[i].link);
    }
}

/* The names, from the front and from the back, and the count must agree. */
static void assert_order(const struct list *head, const char *names)
{
    size_t count = 0;
    for (const struct list *at = head->next; at != head; at = at->next, count++) {
        assert_int_equal(container_of(at, struct item, link)->name, names[count]);
        assert_ptr_equal(at->next->prev, at);
        assert_ptr_equal(at->prev->next, at);
    }
    assert_int_equal(names[count], '\0');
    assert_int_equal(list_count(head), count);
    assert_int_equal(list_empty(head), count == 0);
}

static void members_stand_where_they_were_added(void **state)
{
    struct fixture f;
    (void)state;
    init(&f);
    assert_order(&f.head, "");
    list_add(&f.head, &f.items[0].link);
    list_add(&f.head, &f.items[1].link);
    list_push(&f.head, &f.items[2].link);
    list_add(&f.head, &f.items[3].link);
    assert_order(&f.head, "cabd");
    assert_int_equal(list_first(&f.head, struct item, link)->name, 'c');
    assert_int_equal(list_last(&f.head, struct item, link)->name, 'd');
}

static void a_member_leaves_from_anywhere_and_twice(void **state)
{
    struct fixture f;
    (void)state;
    init(&f);
    for (int i = 0; i < ITEMS; i++)
        list_add(&f.head, &f.items[i].link);
    list_del(&f.items[2].link);
    list_del(&f.items[2].link);
    assert_true(list_empty(&f.items[2].link));
    assert_order(&f.head, "abdef");
    list_del(&f.items[0].link);
    list_del(&f.items[5].link);
    assert_order(&f.head, "bde");
    list_add(&f.head, &f.items[0].link);
    assert_order(&f.head, "bdea");
    assert_false(list_empty(&f.items[0].link));
}

static void a_member_in_no_list_can_leave(void **state)
{
    struct fixture f;
    (void)state;
    init(&f);
    list_del(&f.items[0].link);
    list_del(&f.head);
    assert_order(&f.head, "");
}

static void splicing_moves_all_to_the_tail(void **state)
{
    struct fixture f;
    (void)state;
    init(&f);
    list_splice(&f.head, &f.other);
    assert_order(&f.head, "");
    for (int i = 0; i < 3; i++)
        list_add(&f.other, &f.items[i].link);
    list_splice(&f.head, &f.other);
    assert_order(&f.head, "abc");
    assert_order(&f.other, "");
    for (int i = 3; i < ITEMS; i++)
        list_add(&f.other, &f.items[i].link);
    list_splice(&f.head, &f.other);
    assert_order(&f.head, "abcdef");
    assert_order(&f.other, "");
    list_splice(&f.head, &f.other);
    assert_order(&f.head, "abcdef");
}

static void each_visits_all_in_order(void **state)
{
    struct fixture f;
    char seen[ITEMS + 1] = "";
    size_t count = 0;
    (void)state;
    init(&f);
    list_each (at, &f.head)
        fail();
    for (int i = 0; i < ITEMS; i++)
        list_add(&f.head, &f.items[i].link);
    list_each (at, &f.head)
        seen[count++] = container_of(at, struct item, link)->name;
    assert_string_equal(seen, "abcdef");
}

static void the_current_member_may_leave_while_all_are_visited(void **state)
{
    struct fixture f;
    (void)state;
    init(&f);
    list_each_safe (at, &f.head)
        fail();
    for (int i = 0; i < ITEMS; i++)
        list_add(&f.head, &f.items[i].link);
    list_each_safe (at, &f.head) {
        list_del(at);
        if (container_of(at, struct item, link)->name % 2)
            list_add(&f.other, at);
    }
    assert_order(&f.head, "");
    assert_order(&f.other, "ace");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stand_where_they_were_added),
        cmocka_unit_test(a_member_leaves_from_anywhere_and_twice),
        cmocka_unit_test(a_member_in_no_list_can_leave),
        cmocka_unit_test(splicing_moves_all_to_the_tail),
        cmocka_unit_test(each_visits_all_in_order),
        cmocka_unit_test(the_current_member_may_leave_while_all_are_visited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
