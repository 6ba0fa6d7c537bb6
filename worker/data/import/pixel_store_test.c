#include "worker/data/import/pixel_store.h"

#include "worker/data/import/sample_data.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void images_come_back_in_any_order_and_no_file_is_seen(void **state)
{
    (void)state;
    mn_pixel_store *store = NULL;
    uint8_t pixels[5];
    mn_error err = {0};
    assert_int_equal(mn_pixel_store_new(sizeof pixels, "out.mnd", &store, &err), MN_OK);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t place = 0;
        memset(pixels, (int)(i % 251), sizeof pixels);
        assert_int_equal(mn_pixel_store_add(store, pixels, &place, &err), MN_OK);
        assert_int_equal(place, i);
    }
    for (uint64_t i = 300; i-- > 0;) {
        assert_int_equal(mn_pixel_store_get(store, i, pixels, &err), MN_OK);
        assert_int_equal(pixels[0], i % 251);
        assert_int_equal(pixels[4], i % 251);
    }
    DIR *folder = opendir(".");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        assert_null(strstr(entry->d_name, "mnemo-"));
    (void)closedir(folder);
    mn_pixel_store_destroy(&store);
    assert_null(store);
}

static void a_folder_that_is_not_there_is_told(void **state)
{
    (void)state;
    mn_pixel_store *store = NULL;
    mn_error err = {0};
    assert_int_equal(mn_pixel_store_new(1, "no/out.mnd", &store, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "no/out.mnd"));
    assert_null(store);
    assert_int_equal(mn_pixel_store_new(1, NULL, &store, &err), MN_OK); /* temporary files */
    mn_pixel_store_destroy(&store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(images_come_back_in_any_order_and_no_file_is_seen),
                                       TEST(a_folder_that_is_not_there_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
