#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list link; // the test's list
};

static void is(const struct list *head, const char *digits)
{
    const struct list *link = head->next;
    for (; *digits; digits++, link = link->next) {
        assert_ptr_not_equal(link, head);
        assert_int_equal(CONTAINER_OF(link, struct item, link)->number, *digits - '0');
        assert_ptr_equal(link->next->prev, link);
    }
    assert_ptr_equal(link, head);
    assert_ptr_equal(head->next->prev, head);
}

static void order_and_removal(void **state)
{
    (void)state;
    struct list head = LIST_INIT(head);
    assert_true(list_empty(&head));
    assert_null(list_shift(&head));
    struct item items[5];
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_append(&head, &items[i].link);
    }
    is(&head, "01234");
    list_remove(&items[2].link);
    assert_true(list_empty(&items[2].link)); // an unlinked link points at itself
    list_remove(&items[2].link);             // so once more does nothing
    is(&head, "0134");
    assert_ptr_equal(list_shift(&head), &items[0].link);
    assert_true(list_empty(&items[0].link));
    list_append(&head, &items[0].link);
    is(&head, "1340");
    while (list_shift(&head))
        ;
    assert_true(list_empty(&head));
    is(&head, "");
}

static void walking_may_remove_the_cursor(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    struct item items[6];
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        list_append(&head, &items[i].link);
    }
    int sum = 0;
    list_for_each(cursor, &head) {
        struct item *item = list_entry(cursor, struct item, link);
        sum += item->number;
        if (item->number % 2 == 0)
            list_remove(cursor);
    }
    assert_int_equal(sum, 15);
    is(&head, "135");
    list_for_each(cursor, &head)
        list_remove(cursor);
    is(&head, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_removal),
        cmocka_unit_test(walking_may_remove_the_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
